/**
 * Reads the fields of a caller's JSON object: whoever reads one (a front those that it knows, a task those that it
 * knows) refuses the same mistakes in the same words.
 */
import { MillraceError } from "millrace-client/wire";
import { didYouMean } from "../near-miss.js";

/** ES2024; Node has it since version 20, the es2023 library that we compile against has not. */
declare global {
  interface String {
    isWellFormed(): boolean;
  }
}

/**
 * Every field is optional: a method gives undefined where it is missing. `null` is a value like any other: wrong.
 * Each throws MillraceError `bad_request` or `bad_encoding` that names the field.
 */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** A caller who wrote `beam: 4` would otherwise get greedy results and never learn why. */
  refuseUnknown(known: readonly string[]): void {
    for (const name of Object.keys(this.#values)) {
      if (known.includes(name)) continue;
      const param = name.slice(0, 64);
      throw new MillraceError(
        "bad_request",
        `There is no field ${JSON.stringify(param)}${didYouMean(name, known)}.`,
        { param },
      );
    }
  }

  /** As it was sent, for a field that has a shape of its own. */
  value(field: string): unknown {
    return Object.hasOwn(this.#values, field) ? this.#values[field] : undefined;
  }

  text(field: string, charactersMax: number): string | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value === "" || value.length > charactersMax) {
      throw badField(
        field,
        `must be a text of 1 to ${charactersMax} characters, not ${show(value)}`,
      );
    }
    if (!value.isWellFormed()) throw loneSurrogate(field);
    return value;
  }

  flag(field: string): boolean | undefined {
    const value = this.value(field);
    if (value === undefined || typeof value === "boolean") return value;
    throw badField(field, `must be true or false, not ${show(value)}`);
  }

  choice<Choice extends string>(field: string, choices: readonly Choice[]): Choice | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw badField(field, `must be ${choices.join(" or ")}, not ${show(value)}`);
  }

  integer(field: string, range: readonly [min: number, max: number]): number | undefined {
    const value = this.finite(field, range);
    if (value === undefined || Number.isInteger(value)) return value;
    throw badField(field, `must be an integer, not ${value}`);
  }

  finite(field: string, [min, max]: readonly [min: number, max: number]): number | undefined {
    const value = this.value(field);
    if (value === undefined) return undefined;
    if (typeof value !== "number") throw badField(field, `must be a number, not ${kindOf(value)}`);
    // JSON can say 1e999, which is read as Infinity; it is outside every range.
    if (value >= min && value <= max) return value;
    throw badField(field, `must be between ${min} and ${max}, not ${value}`);
  }
}

export function badField(param: string, what: string): MillraceError {
  return new MillraceError("bad_request", `\`${param}\`: ${what}.`, { param });
}

export function loneSurrogate(param: string): MillraceError {
  return new MillraceError("bad_encoding", `\`${param}\` holds a lone surrogate.`, { param });
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

/** A value for a message: no more of it than the message needs. */
export function show(value: unknown): string {
  if (typeof value === "object") return kindOf(value);
  const text = JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
