/** Tells tools such as grpcurl what is served: both versions of the reflection service, from memory. */
import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import type { GrpcService } from "./grpc-front.js";

type Served = Parameters<ReflectionService["addToServer"]>[0];
type Definition = Parameters<Served["addService"]>[0];

export function addReflection(
  services: readonly GrpcService[],
  add: (definition: Definition, implementation: UntypedServiceImplementation) => void,
): void {
  const fileDescriptorProtos = services.map(({ file }) => Buffer.from(file()));
  // All that it reads of a package is its files, in whatever stands in it.
  const format = "Protocol Buffer 3 EnumDescriptorProto";
  new ReflectionService({ all: { format, type: {}, fileDescriptorProtos } }).addToServer({
    addService: add,
  });
}
