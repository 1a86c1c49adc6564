/** The other side did not keep to the protocol; the stream cannot be read further. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
