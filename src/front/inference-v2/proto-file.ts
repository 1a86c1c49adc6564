/** Messages of a .proto by their names: bytes ⇄ objects, and what reflection tells of them. */
import { MillraceError } from "millrace-client/wire";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor.js";

/** For messages that are written field by field. */
export function protoWriter(): protobuf.Writer {
  return protobuf.Writer.create();
}

/** Read when it is first needed: most servers speak no gRPC. */
export class ProtoFile {
  readonly #fileName: string;
  readonly #text: string;
  #parsed: { readonly root: protobuf.Root; readonly package: string } | null = null;

  constructor(fileName: string, text: string) {
    this.#fileName = fileName;
    this.#text = text;
  }

  /** A `FileDescriptorProto`. */
  get bytes(): Uint8Array {
    return fileBytes(this.#file.root, this.#fileName);
  }

  /** @throws MillraceError `bad_request` where the bytes are no such message. */
  decode(message: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
    const type = this.#type(message);
    try {
      return type.toObject(type.decode(bytes), { longs: String, enums: String, defaults: true });
    } catch (cause) {
      throw new MillraceError("bad_request", `The message is no ${message}.`, { cause });
    }
  }

  encode(message: string, value: Readonly<Record<string, unknown>>): Uint8Array {
    const type = this.#type(message);
    return type.encode(type.fromObject(value)).finish();
  }

  #type(message: string): protobuf.Type {
    const { root, package: name } = this.#file;
    return root.lookupType(`${name}.${message}`);
  }

  get #file(): { readonly root: protobuf.Root; readonly package: string } {
    if (this.#parsed !== null) return this.#parsed;
    const { root, package: name } = protobuf.parse(this.#text, { keepCase: true });
    root.resolveAll();
    this.#parsed = { root, package: name ?? "" };
    return this.#parsed;
  }
}

/**
 * As protoc would write it: the library leaves names of types relative, and gives entries of maps names that readers of
 * descriptors refuse.
 */
function fileBytes(root: protobuf.Root, fileName: string): Uint8Array {
  const [file] = root.toDescriptor("proto3").file;
  if (file === undefined) throw new Error(`${fileName} has nothing in it`);
  file.name = fileName;
  const path = file.package ?? "";
  for (const message of file.messageType ?? []) {
    qualify(message, root.lookupType(`${path}.${message.name ?? ""}`));
  }
  for (const service of file.service ?? []) {
    const { methods } = root.lookupService(`${path}.${service.name ?? ""}`);
    for (const method of service.method ?? []) {
      const { resolvedRequestType, resolvedResponseType } = methods[method.name ?? ""] ?? {};
      method.inputType = resolvedRequestType?.fullName ?? "";
      method.outputType = resolvedResponseType?.fullName ?? "";
    }
  }
  return descriptor.FileDescriptorProto.encode(file).finish();
}

type MessageDescriptor = NonNullable<descriptor.IFileDescriptorProto["messageType"]>[number];

function qualify(message: MessageDescriptor, type: protobuf.Type): void {
  const entries = new Set<MessageDescriptor>();
  for (const field of message.field ?? []) {
    const own = type.fields[field.name ?? ""];
    const resolved = own?.resolvedType?.fullName;
    if (!(own instanceof protobuf.MapField)) {
      if (resolved !== undefined) field.typeName = resolved;
      continue;
    }
    const entry = message.nestedType?.find(({ name }) => name === field.typeName);
    if (entry === undefined) throw new Error(`${own.fullName} is a map without entries`);
    entries.add(entry);
    entry.name = entryName(own.name);
    field.typeName = `${type.fullName}.${entry.name}`;
    const value = entry.field?.find(({ name }) => name === "value");
    if (value !== undefined && resolved !== undefined) value.typeName = resolved;
  }
  for (const nested of message.nestedType ?? []) {
    if (!entries.has(nested)) qualify(nested, type.lookupType(nested.name ?? ""));
  }
}

/** `response_stats` → `ResponseStatsEntry`. */
function entryName(field: string): string {
  const words = field.split("_").map((word) => word.slice(0, 1).toUpperCase() + word.slice(1));
  return `${words.join("")}Entry`;
}
