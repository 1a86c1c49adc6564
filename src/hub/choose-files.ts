/** Which files of a repository a model folder is made of: what `convert` reads, and graphs that are served as they are. */
import type { HubFile } from "./repository.js";

/** Configurations, vocabularies and rules of tokenizers: small, and what is not needed of them does not matter. */
const words = /^(?:[^/]+\.(?:json|txt|spm|model|vocab|yml)|vocab\.[^/]+|\d+_\w+\/config\.json)$/;
const wordsBytesMax = 64 * 1024 * 1024;

/** The same weights in several forms: the first one that is there. */
const weights: readonly RegExp[] = [
  /^model(?:-\d+-of-\d+)?\.safetensors(?:\.index\.json)?$/,
  /^pytorch_model(?:-\d+-of-\d+)?\.bin(?:\.index\.json)?$/,
  /^model\.npz$/,
  /^(?:onnx\/)?model\.onnx(?:_data)?$/,
  /^[^/]+\.onnx(?:[._]data)?$/,
];

/** Of another form than the one that is taken: these name what is not there. */
const indices = /\.index\.json$/;

/** Empty where no weights are found: nobody could make a model of the rest. */
export function neededFiles(files: readonly HubFile[]): readonly HubFile[] {
  const form = weights.find((each) => files.some(({ name }) => each.test(name)));
  if (form === undefined) return [];
  return files.filter(
    ({ name, bytes }) =>
      form.test(name) || (words.test(name) && bytes <= wordsBytesMax && !indices.test(name)),
  );
}
