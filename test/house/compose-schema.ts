/** What of the Compose specification `deploy/compose` uses, and nothing else. */
import { z } from "zod";

const anchor = z.looseObject({});
const names = z.array(z.string());

const service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.string(), dockerfile: z.string() }).optional(),
  command: names.optional(),
  restart: z.enum(["no", "always", "on-failure", "unless-stopped"]),
  stop_grace_period: z
    .string()
    .regex(/^\d+s$/)
    .optional(),
  read_only: z.boolean().optional(),
  tmpfs: names.optional(),
  cap_drop: names.optional(),
  security_opt: names.optional(),
  scale: z.int().positive().optional(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.string().regex(/^[\d.]+:\d+:\d+$/)).optional(),
  volumes: z.array(z.string().regex(/^[\w./-]+:[\w./-]+(:ro)?$/)).optional(),
  depends_on: z
    .record(z.string(), z.strictObject({ condition: z.literal("service_healthy") }))
    .optional(),
  healthcheck: z
    .strictObject({
      test: names,
      interval: z.string(),
      timeout: z.string(),
      retries: z.int().positive(),
    })
    .optional(),
});

export const composeFile = z.strictObject({
  name: z.string(),
  "x-millrace": anchor,
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()),
});
