/**
 * What of Kubernetes' published schemas (v1.30: apps/v1, core/v1, policy/v1) `deploy/kubernetes` uses, each field with its type and its
 * bounds, and nothing else: a field that is misspelt, or stands in the wrong place, is none of these.
 */
import { z } from "zod";

const label = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
/** Of ports: an IANA service name. */
const portName = z.string().regex(/^[a-z0-9-]{1,15}$/);
const port = z.int().min(1).max(65_535);
const labels = z.record(z.string().regex(/^([a-z0-9.-]+\/)?[\w.-]{1,63}$/), z.string().max(63));
const quantity = z.string().regex(/^\d+(m|Mi|Gi)?$/);
const seconds = z.int().min(1);

const metadata = z.strictObject({
  name: label,
  namespace: label.optional(),
  labels: labels.optional(),
});
const selector = z.strictObject({ matchLabels: labels });

const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string().startsWith("/"), port: portName }),
  periodSeconds: seconds,
  timeoutSeconds: seconds.optional(),
  failureThreshold: seconds.optional(),
});

const variable = z
  .strictObject({
    name: z.string().regex(/^[A-Z][A-Z0-9_]*$/),
    value: z.string().optional(),
    valueFrom: z
      .union([
        z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.literal("metadata.name") }) }),
        z.strictObject({ secretKeyRef: z.strictObject({ name: label, key: z.string() }) }),
      ])
      .optional(),
  })
  .refine(({ value, valueFrom }) => (value === undefined) !== (valueFrom === undefined));

const resources = z.strictObject({ cpu: quantity.optional(), memory: quantity.optional() });

const container = z.strictObject({
  name: label,
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(variable),
  ports: z.array(z.strictObject({ name: portName, containerPort: port })),
  startupProbe: probe,
  livenessProbe: probe,
  readinessProbe: probe,
  lifecycle: z
    .strictObject({
      preStop: z.strictObject({ exec: z.strictObject({ command: z.array(z.string()) }) }),
    })
    .optional(),
  resources: z.strictObject({ requests: resources, limits: resources }),
  securityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal("ALL")]) }),
  }),
  volumeMounts: z.array(
    z.strictObject({
      name: label,
      mountPath: z.string().startsWith("/"),
      readOnly: z.boolean().optional(),
    }),
  ),
});

const volume = z.union([
  z.strictObject({ name: label, configMap: z.strictObject({ name: label }) }),
  z.strictObject({ name: label, emptyDir: z.strictObject({ sizeLimit: quantity.optional() }) }),
  z.strictObject({
    name: label,
    secret: z.strictObject({ secretName: label, defaultMode: z.int().min(0).max(0o777) }),
  }),
]);

const podSpec = z.strictObject({
  terminationGracePeriodSeconds: seconds,
  automountServiceAccountToken: z.literal(false),
  // Else each Service of the namespace is a variable, and those of ours begin with MILLRACE_.
  enableServiceLinks: z.literal(false),
  securityContext: z.strictObject({
    runAsNonRoot: z.literal(true),
    runAsUser: z.int().min(1),
    runAsGroup: z.int().min(1),
    fsGroup: z.int().min(1),
    fsGroupChangePolicy: z.enum(["OnRootMismatch", "Always"]).optional(),
    seccompProfile: z.strictObject({ type: z.literal("RuntimeDefault") }),
  }),
  topologySpreadConstraints: z
    .array(
      z.strictObject({
        maxSkew: seconds,
        topologyKey: z.enum(["kubernetes.io/hostname", "topology.kubernetes.io/zone"]),
        whenUnsatisfiable: z.enum(["DoNotSchedule", "ScheduleAnyway"]),
        labelSelector: selector,
      }),
    )
    .optional(),
  containers: z.tuple([container]),
  volumes: z.array(volume),
});

export type PodSpec = z.infer<typeof podSpec>;

const template = z.strictObject({ metadata: z.strictObject({ labels }), spec: podSpec });

const claim = z.strictObject({
  metadata: z.strictObject({ name: label }),
  spec: z.strictObject({
    accessModes: z.array(z.enum(["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"])),
    resources: z.strictObject({ requests: z.strictObject({ storage: quantity }) }),
  }),
});

export const kubernetesObject = z.discriminatedUnion("kind", [
  z.strictObject({ apiVersion: z.literal("v1"), kind: z.literal("Namespace"), metadata }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("Secret"),
    metadata,
    type: z.literal("Opaque"),
    stringData: z.record(z.string(), z.string()),
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("Service"),
    metadata,
    spec: z.strictObject({
      clusterIP: z.literal("None").optional(),
      publishNotReadyAddresses: z.boolean().optional(),
      selector: labels,
      ports: z.array(z.strictObject({ name: portName, port, targetPort: portName })),
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("policy/v1"),
    kind: z.literal("PodDisruptionBudget"),
    metadata,
    spec: z.strictObject({ maxUnavailable: z.int().min(1), selector }),
  }),
  z.strictObject({
    apiVersion: z.literal("apps/v1"),
    kind: z.literal("Deployment"),
    metadata,
    spec: z.strictObject({
      replicas: z.int().min(1),
      selector,
      strategy: z.strictObject({
        type: z.literal("RollingUpdate"),
        rollingUpdate: z.strictObject({ maxSurge: z.int().min(0), maxUnavailable: z.int().min(0) }),
      }),
      template,
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("apps/v1"),
    kind: z.literal("StatefulSet"),
    metadata,
    spec: z.strictObject({
      replicas: z.int().min(1),
      serviceName: label,
      podManagementPolicy: z.enum(["Parallel", "OrderedReady"]).optional(),
      selector,
      updateStrategy: z.strictObject({ type: z.literal("RollingUpdate") }).optional(),
      template,
      volumeClaimTemplates: z.array(claim).optional(),
    }),
  }),
]);
