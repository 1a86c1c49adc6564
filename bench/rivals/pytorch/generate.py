"""transformers' generate() as far as Marian needs it: greedy and beam search over a padded batch.

Names and order of operations are those of `GenerationMixin._sample` and `_beam_search`, transformers 5. As there, a row that has ended
stays in its batch until the batch ends.
"""
import torch

IMPOSSIBLE = -1e9


class Rules:
    """What a model's generation_config.json fixes; `beams` and `max_length` may be a caller's."""

    def __init__(self, config: dict, vocabulary: int):
        self.start = config["decoder_start_token_id"]
        self.end = config["eos_token_id"]
        self.pad = config["pad_token_id"]
        self.forced_end = config.get("forced_eos_token_id")
        limit = config.get("max_new_tokens")
        self.max_length = config.get("max_length") or 20 if limit is None else limit + 1
        penalty = config.get("length_penalty")
        self.length_penalty = 1.0 if penalty is None else penalty
        self.early_stopping = config.get("early_stopping") or False
        if config.get("renormalize_logits"):
            raise SystemExit("renormalize_logits is not written here")
        words = config.get("bad_words_ids") or []
        if any(len(word) > 1 for word in words):
            raise SystemExit("bad words of several tokens are not written here")
        self.bad = torch.zeros(1, vocabulary)
        self.bad[:, [word[0] for word in words if word[0] != self.end]] = -torch.inf

    def process(self, scores, length: int):
        """NoBadWordsLogitsProcessor, then ForcedEOSTokenLogitsProcessor. length: tokens so far, the start token included."""
        scores = scores + self.bad
        if self.forced_end is not None and length == self.max_length - 1:
            scores = torch.full_like(scores, -torch.inf)
            scores[:, self.forced_end] = 0
        return scores


@torch.inference_mode()
def generate(model, rules: Rules, batch: list[list[int]], beams: int) -> list[list[int]]:
    """Ids of the best hypothesis of each sentence, the end token included."""
    width = max(len(sentence) for sentence in batch)
    tokens = torch.tensor([sentence + [rules.pad] * (width - len(sentence)) for sentence in batch])
    lengths = torch.tensor([len(sentence) for sentence in batch])
    is_padding = torch.arange(width)[None, :] >= lengths[:, None]
    mask = None
    if is_padding.any():
        mask = torch.zeros(is_padding.shape).masked_fill(is_padding, torch.finfo(torch.float32).min)[:, None, None, :]
    cross = model.encode(tokens, mask)
    if beams == 1:
        found = greedy_search(model, rules, cross, mask)
    else:
        rows = [tuple(each.repeat_interleave(beams, dim=0) for each in layer) for layer in cross]
        row_mask = None if mask is None else mask.repeat_interleave(beams, dim=0)
        found = beam_search(model, rules, rows, row_mask, beams)
    return [until_end(ids, rules.end) for ids in found.tolist()]


def until_end(ids: list[int], end: int) -> list[int]:
    """Without the start token, and without what pads a row that ended."""
    own = ids[1:]
    return own[: own.index(end) + 1] if end in own else own


def greedy_search(model, rules: Rules, cross, mask):
    rows = cross[0][0].shape[0]
    sequences = torch.full((rows, 1), rules.start)
    unfinished = torch.ones(rows, dtype=torch.long)
    past = None
    while True:
        length = sequences.shape[1]
        logits, past = model.decode(sequences[:, -1:], past, cross, mask, length - 1)
        chosen = rules.process(logits, length).argmax(-1)
        chosen = chosen * unfinished + rules.pad * (1 - unfinished)
        sequences = torch.cat((sequences, chosen[:, None]), dim=-1)
        unfinished = unfinished & (chosen != rules.end)
        if length + 1 >= rules.max_length or unfinished.max() == 0:
            return sequences


def beam_search(model, rules: Rules, cross, mask, beams: int):
    count = cross[0][0].shape[0] // beams
    shape = (count, beams, rules.max_length)
    running, finished = torch.full(shape, rules.pad), torch.full(shape, rules.pad)
    running[:, :, 0] = rules.start
    running_scores = torch.zeros(count, beams)
    running_scores[:, 1:] = IMPOSSIBLE
    finished_scores = torch.full((count, beams), IMPOSSIBLE)
    is_finished = torch.zeros(count, beams, dtype=torch.bool)
    may_improve = torch.ones(count, 1, dtype=torch.bool)
    among_best = torch.arange(2 * beams)[None, :] < beams
    first_rows = torch.arange(count)[:, None] * beams
    past, length = None, 1
    while True:
        logits, past = model.decode(running[:, :, length - 1].reshape(-1, 1), past, cross, mask, length - 1)
        scores = rules.process(logits.log_softmax(-1), length).view(count, beams, -1)
        vocabulary = scores.shape[-1]
        scores = (scores + running_scores[:, :, None]).view(count, -1)
        top_scores, top = torch.topk(scores, 2 * beams, dim=1)
        parents, tokens = torch.div(top, vocabulary, rounding_mode="floor"), top % vocabulary
        candidates = taken(running, parents)
        candidates[:, :, length] = tokens
        ends = (tokens == rules.end) | (length + 1 >= rules.max_length)

        running_scores, kept = torch.topk(top_scores + ends * IMPOSSIBLE, beams, dim=1)
        running, rows = taken(candidates, kept), parents.gather(1, kept)

        is_full = is_finished.all(-1, keepdim=True) & (rules.early_stopping is True)
        impossible = (~(ends & among_best)).float() + is_full.float() + (~may_improve).float()
        ended_scores = top_scores / length**rules.length_penalty + impossible * IMPOSSIBLE
        merged_scores = torch.cat((finished_scores, ended_scores), dim=1)
        finished_scores, kept = torch.topk(merged_scores, beams, dim=1)
        finished = taken(torch.cat((finished, candidates), dim=1), kept)
        is_finished = torch.cat((is_finished, ends & among_best), dim=1).gather(1, kept)

        order = (first_rows + rows).view(-1)
        past = [tuple(each.index_select(0, order) for each in layer) for layer in past]
        length += 1
        farthest = rules.early_stopping == "never" and rules.length_penalty > 0
        best = running_scores[:, :1] / ((rules.max_length if farthest else length) - 1) ** rules.length_penalty
        worst = torch.where(is_finished, finished_scores.min(dim=1, keepdim=True)[0], torch.tensor(IMPOSSIBLE))
        may_improve = may_improve & (best > worst).any(dim=-1, keepdim=True)
        has_open_beam = not (is_finished.all() and rules.early_stopping is True)
        if not (may_improve.any() and has_open_beam and not ends.all()):
            return finished[:, 0]


def taken(sequences, places):
    """sequences [sentences, n, length], places [sentences, m]: those at the places."""
    return sequences.gather(1, places[:, :, None].expand(-1, -1, sequences.shape[-1]))
