"""A Marian encoder-decoder as transformers' MarianMTModel computes it, written plainly.

Norms come after each part; the keys and values of earlier tokens are kept, those of the input are computed once.
"""
import math
from pathlib import Path

import torch
from torch import nn

from weights import read_weights

ACTIVATIONS = {
    "swish": nn.functional.silu,
    "silu": nn.functional.silu,
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
}


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scaling = (width // heads) ** -0.5
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(width, width))

    def split(self, x):
        """[rows, tokens, width] to [rows, heads, tokens, width / heads]; contiguous, or each product would copy it again."""
        rows, tokens, width = x.shape
        return x.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2).contiguous()

    def keys_and_values(self, x):
        return self.split(self.k_proj(x)), self.split(self.v_proj(x))

    def forward(self, x, keys, values, mask=None):
        """mask: added to the scores, [rows, 1, 1, keys]."""
        scores = torch.matmul(self.split(self.q_proj(x) * self.scaling), keys.transpose(2, 3))
        if mask is not None:
            scores = scores + mask
        mixed = torch.matmul(scores.softmax(-1), values)
        return self.out_proj(mixed.transpose(1, 2).reshape(x.shape))


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, feed_forward: int, activation):
        super().__init__()
        self.activation = activation
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, feed_forward)
        self.fc2 = nn.Linear(feed_forward, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def feed_forward(self, x):
        return self.final_layer_norm(x + self.fc2(self.activation(self.fc1(x))))

    def forward(self, x, mask):
        attention = self.self_attn
        x = self.self_attn_layer_norm(x + attention(x, *attention.keys_and_values(x), mask))
        return self.feed_forward(x)


class DecoderLayer(EncoderLayer):
    def __init__(self, width: int, heads: int, feed_forward: int, activation):
        super().__init__(width, heads, feed_forward, activation)
        self.encoder_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)

    def forward(self, x, past, cross, cross_mask):
        """One token a row. past: keys and values of those before it; returned with its own at their end."""
        attention = self.self_attn
        own = attention.keys_and_values(x)
        kept = own if past is None else tuple(torch.cat(both, dim=2) for both in zip(past, own))
        x = self.self_attn_layer_norm(x + attention(x, *kept))
        x = self.encoder_attn_layer_norm(x + self.encoder_attn(x, *cross, cross_mask))
        return self.feed_forward(x), kept


class Stack(nn.Module):
    def __init__(self, config: dict, side: str, layer, vocabulary: int):
        super().__init__()
        width = config["d_model"]
        sizes = (width, config[f"{side}_attention_heads"], config[f"{side}_ffn_dim"])
        activation = ACTIVATIONS[config.get("activation_function", "gelu")]
        self.scale = math.sqrt(width) if config.get("scale_embedding", False) else 1.0
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.embed_positions = nn.Embedding(config["max_position_embeddings"], width)
        self.layers = nn.ModuleList(layer(*sizes, activation) for _ in range(config[f"{side}_layers"]))

    def embed(self, tokens, first: int):
        positions = torch.arange(first, first + tokens.shape[1])
        return self.embed_tokens(tokens) * self.scale + self.embed_positions(positions)


class Marian(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        vocabulary = config["vocab_size"]
        outputs = config.get("decoder_vocab_size") or vocabulary
        self.encoder = Stack(config, "encoder", EncoderLayer, vocabulary)
        self.decoder = Stack(config, "decoder", DecoderLayer, outputs)
        self.lm_head = nn.Linear(config["d_model"], outputs, bias=False)
        self.final_logits_bias = nn.Parameter(torch.zeros(1, outputs))

    def encode(self, tokens, mask):
        """tokens [sentences, width]; mask added to scores. What the decoder attends to: keys and values for each of its layers."""
        x = self.encoder.embed(tokens, 0)
        for layer in self.encoder.layers:
            x = layer(x, mask)
        return [layer.encoder_attn.keys_and_values(x) for layer in self.decoder.layers]

    def decode(self, tokens, past, cross, cross_mask, position: int):
        """tokens [rows, 1]. Logits [rows, vocabulary], and the past with these tokens in it."""
        x = self.decoder.embed(tokens, position)
        kept = []
        for layer, before, input_side in zip(self.decoder.layers, past or [None] * len(cross), cross):
            x, own = layer(x, before, input_side, cross_mask)
            kept.append(own)
        return self.lm_head(x[:, -1]) + self.final_logits_bias, kept


def load_marian(folder: Path, config: dict) -> Marian:
    model = Marian(config)
    weights = with_aliases(read_weights(folder), config)
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return model.eval()


def with_aliases(weights: dict, config: dict) -> dict:
    """By the names of this module; the tables that a folder may share or leave out are filled in."""
    named = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    tied = config.get("tie_word_embeddings", True)
    shared = named.get("shared.weight") if config.get("share_encoder_decoder_embeddings", True) else None
    encoder, decoder = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    for table in (encoder, decoder):
        if shared is not None and (tied or table not in named):
            named[table] = shared
    if decoder not in named:
        named[decoder] = named["lm_head.weight"]
    if tied:
        named["lm_head.weight"] = named[decoder]
    named.setdefault("final_logits_bias", torch.zeros(1, named["lm_head.weight"].shape[0]))
    positions = sinusoids(config["max_position_embeddings"], config["d_model"])
    for side in ("encoder", "decoder"):
        named.setdefault(f"{side}.embed_positions.weight", positions)
    return named


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """Sines in the first half of the width, cosines in the second."""
    pairs = torch.arange(0, width, 2, dtype=torch.float64)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] / 10_000 ** (pairs / width)
    return torch.cat((angles.sin(), angles.cos()[:, : width // 2]), dim=1).float()
