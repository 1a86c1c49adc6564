/**
 * `millrace.json`: what a Millrace model folder is. Written by `millrace convert`, read by the server.
 *
 *   manifest-base.ts         what every folder says, whatever runs it; manifest-fields.ts checks it
 *   manifest-ENGINE.ts       what one engine needs beside that: one file an engine
 *   programs/                what the staged engine runs: one file a program
 *   manifest.ts              the union of all
 *   engine-table.ts          the table of engines: who checks what, and how each is fed
 *   read-manifest.ts         READ FIRST: from a folder to a manifest
 */
import type { GenerationManifest } from "./manifest-generation.js";
import type { StagedManifest } from "./manifest-staged.js";

/** Told apart by `engine`. */
export type ModelManifest = GenerationManifest | StagedManifest;
