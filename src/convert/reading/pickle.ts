/**
 * READ FIRST for pickles. Python's pickle is a program for a stack machine that may call anything on the machine that loads
 * it. This one calls nothing: it knows the opcodes that hold data, a name that the pickle mentions stays a name, and
 * what a call of a name gives is decided by the caller's `reduce`, from a list of its own.
 *
 *   bytes ─► opcodes ─► stack of values ─► the last one
 *               │            ▲
 *               └── memo ────┘   values that are mentioned again
 *
 * Protocols 2 to 5 as PyTorch has written them. Everything is bounded: the bytes by the caller, the values, the memo
 * and the stack here, so that a byte of pickle never becomes more than some bytes of memory. Values may contain
 * themselves, so nobody may walk through them without a bound.
 */
import { MillraceError } from "millrace-client/wire";
import { PickleBytes } from "./pickle-bytes.js";

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleBinary
  | PickleList
  | PickleTuple
  | PickleDict
  | PickleName
  | PickleObject;

export interface PickleBinary {
  readonly kind: "bytes";
  readonly bytes: Uint8Array;
}

export interface PickleList {
  readonly kind: "list";
  readonly items: PickleValue[];
}

export interface PickleTuple {
  readonly kind: "tuple";
  readonly items: readonly PickleValue[];
}

export interface PickleDict {
  readonly kind: "dict";
  readonly entries: Map<PickleValue, PickleValue>;
}

/** `torch._utils._rebuild_tensor_v2`: only ever a name. */
export interface PickleName {
  readonly kind: "name";
  readonly name: string;
}

/** What `reduce` or `persistent` made. */
export interface PickleObject {
  readonly kind: "object";
  readonly value: object;
}

/** What the pickle's mentions of the world outside mean; each throws for what is not on its list. */
export interface PickleWorld {
  /** Called for each name, so that a forbidden one is refused although nothing calls it. */
  readonly checkName: (name: string) => void;
  readonly reduce: (name: string, args: readonly PickleValue[]) => PickleValue;
  readonly persistent: (id: PickleValue) => PickleValue;
}

const mark = Symbol("mark");

const stackMax = 100_000;
/** Lists, dicts, tuples and objects, of some hundred bytes each: a tensor makes about eight. */
const valuesMax = 2_000_000;
const memoMax = 2_000_000;

/** Throws `weights_invalid` where it is no pickle, is over a bound or wants what it may not have. */
export function readPickle(bytes: Uint8Array, world: PickleWorld): PickleValue {
  return new PickleMachine(bytes, world).run();
}

export function pickleError(message: string): MillraceError {
  return new MillraceError("weights_invalid", message);
}

/** What a value is, short enough for a message. */
export function describeValue(value: PickleValue): string {
  if (value === null) return "None";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (typeof value !== "object") return String(value);
  return value.kind === "name" ? value.name : `a ${value.kind}`;
}

class PickleMachine {
  readonly #bytes: PickleBytes;
  readonly #world: PickleWorld;
  readonly #stack: (PickleValue | typeof mark)[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #values = 0;

  constructor(bytes: Uint8Array, world: PickleWorld) {
    this.#bytes = new PickleBytes(bytes);
    this.#world = world;
  }

  run(): PickleValue {
    for (;;) {
      const at = this.#bytes.position;
      const opcode = this.#bytes.u8();
      if (opcode === stopOpcode) {
        const value = this.#pop();
        if (this.#stack.length > 0) throw pickleError("the pickle stops with values to spare");
        return value;
      }
      const step = opcodes.get(opcode);
      if (step === undefined) {
        const hex = opcode.toString(16).padStart(2, "0");
        const what = refusedOpcodes.get(opcode) ?? "which none of PyTorch's files has";
        throw pickleError(`the pickle has opcode 0x${hex} at byte ${at}, ${what}`);
      }
      step(this.#hands);
    }
  }

  /** What the opcodes work with. */
  readonly #hands: Hands = {
    push: (value) => this.#push(value),
    pushMark: () => this.#push(mark),
    pop: () => this.#pop(),
    popToMark: () => this.#popToMark(),
    top: () => this.#top(),
    counted: (value) => {
      this.#values += 1;
      if (this.#values > valuesMax) throw pickleError(`the pickle has over ${valuesMax} values`);
      return value;
    },
    remember: (index) => {
      this.#memo.set(index ?? this.#memo.size, this.#top());
      if (this.#memo.size > memoMax) throw pickleError(`the pickle's memo is over ${memoMax}`);
    },
    recall: (index) => {
      const value = this.#memo.get(index);
      if (value === undefined) throw pickleError(`the pickle's memo has nothing at ${index}`);
      this.#push(value);
    },
    bytes: () => this.#bytes,
    world: () => this.#world,
  };

  #push(value: PickleValue | typeof mark): void {
    if (this.#stack.length >= stackMax) throw pickleError(`the pickle's stack is over ${stackMax}`);
    this.#stack.push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) throw pickleError("the pickle's stack is empty");
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark) throw pickleError("the pickle's stack is empty");
    return value;
  }

  #popToMark(): PickleValue[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at === -1) throw pickleError("the pickle has no mark where one is needed");
    const values = this.#stack.splice(at).filter((value) => value !== mark);
    return values;
  }
}

interface Hands {
  readonly push: (value: PickleValue) => void;
  readonly pushMark: () => void;
  readonly pop: () => PickleValue;
  readonly popToMark: () => PickleValue[];
  readonly top: () => PickleValue;
  readonly counted: <Value>(value: Value) => Value;
  readonly remember: (index: number | undefined) => void;
  readonly recall: (index: number) => void;
  readonly bytes: () => PickleBytes;
  readonly world: () => PickleWorld;
}

type Step = (hands: Hands) => void;

const stopOpcode = 0x2e;

const opcodes: ReadonlyMap<number, Step> = new Map<number, Step>([
  [0x80, ({ bytes }) => checkProtocol(bytes().u8())],
  // A frame is only how Python reads ahead.
  [0x95, ({ bytes }) => void bytes().u64()],
  [0x28, ({ pushMark }) => pushMark()],
  [0x30, ({ pop }) => void pop()],
  // Constants and numbers.
  [0x4e, ({ push }) => push(null)],
  [0x88, ({ push }) => push(true)],
  [0x89, ({ push }) => push(false)],
  [0x4b, ({ push, bytes }) => push(bytes().u8())],
  [0x4d, ({ push, bytes }) => push(bytes().u16())],
  [0x4a, ({ push, bytes }) => push(bytes().i32())],
  [0x8a, ({ push, bytes }) => push(bytes().integer(bytes().u8()))],
  [0x8b, ({ push, bytes }) => push(bytes().integer(bytes().u32()))],
  [0x47, ({ push, bytes }) => push(bytes().f64())],
  // Texts and bytes.
  [0x58, ({ push, bytes }) => push(bytes().text(bytes().u32()))],
  [0x8c, ({ push, bytes }) => push(bytes().text(bytes().u8()))],
  [0x8d, ({ push, bytes }) => push(bytes().text(bytes().u64()))],
  [0x54, ({ push, bytes }) => push(bytes().text(bytes().u32()))],
  [0x55, ({ push, bytes }) => push(bytes().text(bytes().u8()))],
  [0x42, (hands) => pushBinary(hands, hands.bytes().u32())],
  [0x43, (hands) => pushBinary(hands, hands.bytes().u8())],
  [0x8e, (hands) => pushBinary(hands, hands.bytes().u64())],
  // Lists, tuples and dicts.
  [0x5d, ({ push, counted }) => push(counted({ kind: "list", items: [] }))],
  [0x7d, ({ push, counted }) => push(counted({ kind: "dict", entries: new Map() }))],
  [0x29, (hands) => pushTuple(hands, [])],
  [0x85, (hands) => pushTuple(hands, popMany(hands, 1))],
  [0x86, (hands) => pushTuple(hands, popMany(hands, 2))],
  [0x87, (hands) => pushTuple(hands, popMany(hands, 3))],
  [0x74, (hands) => pushTuple(hands, hands.popToMark())],
  [0x61, (hands) => append(hands, popMany(hands, 1))],
  [0x65, (hands) => append(hands, hands.popToMark())],
  [0x73, (hands) => setItems(hands, popMany(hands, 2))],
  [0x75, (hands) => setItems(hands, hands.popToMark())],
  // The memo.
  [0x71, ({ remember, bytes }) => remember(bytes().u8())],
  [0x72, ({ remember, bytes }) => remember(bytes().u32())],
  [0x94, ({ remember }) => remember(undefined)],
  [0x68, ({ recall, bytes }) => recall(bytes().u8())],
  [0x6a, ({ recall, bytes }) => recall(bytes().u32())],
  // Mentions of the world outside.
  [0x63, (hands) => pushName(hands, hands.bytes().line(), hands.bytes().line())],
  [0x93, stackName],
  [0x51, ({ push, pop, world }) => push(world().persistent(pop()))],
  [0x52, reduce],
  [0x62, build],
]);

/** For the message: each of them makes or calls an object. */
const refusedOpcodes: ReadonlyMap<number, string> = new Map([
  [0x69, "INST, which would make an object of any class"],
  [0x6f, "OBJ, which would make an object of any class"],
  [0x81, "NEWOBJ, which would make an object of any class"],
  [0x92, "NEWOBJ_EX, which would make an object of any class"],
  [0x50, "PERSID, an id as text, which PyTorch does not write"],
  [0x82, "EXT1, which asks for a registry of extensions"],
  [0x83, "EXT2, which asks for a registry of extensions"],
  [0x84, "EXT4, which asks for a registry of extensions"],
  [0x97, "NEXT_BUFFER, which asks for bytes from outside"],
]);

function checkProtocol(protocol: number): void {
  if (protocol >= 2 && protocol <= 5) return;
  throw pickleError(`the pickle has protocol ${protocol}; known are 2 to 5`);
}

function popMany(hands: Hands, count: 1 | 2 | 3): PickleValue[] {
  return Array.from({ length: count }, () => hands.pop()).toReversed();
}

function pushTuple({ push, counted }: Hands, items: readonly PickleValue[]): void {
  push(counted({ kind: "tuple", items }));
}

function pushBinary({ push, counted, bytes }: Hands, length: number): void {
  push(counted({ kind: "bytes", bytes: bytes().slice(length) }));
}

function append({ top }: Hands, items: readonly PickleValue[]): void {
  const list = top();
  if (!isKind(list, "list")) throw pickleError(`the pickle appends to ${describeValue(list)}`);
  // No spread: the list may be longer than a call has arguments.
  for (const item of items) list.items.push(item);
}

function setItems({ top }: Hands, items: readonly PickleValue[]): void {
  const dict = top();
  if (!isKind(dict, "dict")) throw pickleError(`the pickle sets items of ${describeValue(dict)}`);
  if (items.length % 2 !== 0) throw pickleError("the pickle has a key without a value");
  for (let at = 0; at < items.length; at += 2) {
    const [key = null, value = null] = items.slice(at, at + 2);
    if (key !== null && typeof key === "object") {
      throw pickleError(
        `the pickle has ${describeValue(key)} as a key; known are texts and numbers`,
      );
    }
    dict.entries.set(key, value);
  }
}

function stackName(hands: Hands): void {
  const [module = null, name = null] = popMany(hands, 2);
  if (typeof module !== "string" || typeof name !== "string") {
    throw pickleError("the pickle names something by what is no text");
  }
  pushName(hands, module, name);
}

function pushName({ push, counted, world }: Hands, module: string, name: string): void {
  const full = `${module}.${name}`;
  world().checkName(full);
  push(counted({ kind: "name", name: full }));
}

function reduce({ push, pop, counted, world }: Hands): void {
  const args = pop();
  const called = pop();
  if (!isKind(called, "name")) throw pickleError(`the pickle calls ${describeValue(called)}`);
  if (!isKind(args, "tuple")) {
    throw pickleError(`the pickle calls ${called.name} with ${describeValue(args)}`);
  }
  push(counted(world().reduce(called.name, args.items)));
}

/** The state of an object. PyTorch hangs version numbers on its dict of tensors that way, and nothing else is known. */
function build({ pop, top }: Hands): void {
  const state = pop();
  const target = top();
  if (isKind(target, "dict") && isKind(state, "dict")) return;
  const what = `${describeValue(target)} with ${describeValue(state)}`;
  throw pickleError(`the pickle sets the state (BUILD) of ${what}; known are dicts`);
}

type Kinds = {
  [Kind in Extract<PickleValue, object>["kind"]]: Extract<PickleValue, { kind: Kind }>;
};

export function isKind<Kind extends keyof Kinds>(
  value: PickleValue,
  kind: Kind,
): value is Kinds[Kind] {
  return typeof value === "object" && value !== null && value.kind === kind;
}
