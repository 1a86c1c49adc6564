/** A self-signed certificate in PEM, written byte by byte: Node reads X.509 and makes none, and no other program is needed. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** For `localhost` and 127.0.0.1, from an hour ago until `validMs` from now. */
export function makeCertificate(validMs: number = 24 * 3_600_000): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(node(0x31, sequence(oid("550403"), node(0x0c, Buffer.from("localhost")))));
  const alternatives = sequence(
    node(0x82, Buffer.from("localhost")),
    node(0x87, Buffer.from([127, 0, 0, 1])),
  );
  const times = [-3_600_000, validMs].map((fromNowMs) => generalizedTime(Date.now() + fromNowMs));
  const body = sequence(
    node(0xa0, node(0x02, Buffer.from([2]))),
    node(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ecdsaWithSha256,
    name,
    sequence(...times),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    node(0xa3, sequence(sequence(oid("551d11"), node(0x04, alternatives)))),
  );
  const signature = sign("sha256", body, privateKey);
  const der = sequence(body, ecdsaWithSha256, node(0x03, Buffer.from([0]), signature));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${der.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function node(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return node(0x30, ...parts);
}

function oid(hex: string): Buffer {
  return node(0x06, Buffer.from(hex, "hex"));
}

function generalizedTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+|[-:T]/g, "");
  return node(0x18, Buffer.from(digits));
}

const ecdsaWithSha256 = sequence(oid("2a8648ce3d040302"));
