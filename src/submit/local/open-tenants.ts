/** Who has requests that have not ended, kept as they come and go, so that to tell of it costs nothing else. */
import { type TenantStatus, type WorkClass, workClasses } from "millrace-client/wire";

/** Of a class, in what is told. */
const tenantsMax = 32;

export interface TenantsRequest {
  readonly class: WorkClass;
  readonly tenant: string;
  readonly arrivedAtMs: number;
  readonly items: number;
}

/** In the order in which they were queued: the first is the oldest, or nearly so. */
type Requests = Set<TenantsRequest>;

interface Tenant {
  readonly requests: Requests;
  items: number;
}

export class OpenTenants {
  readonly #tenants: Record<WorkClass, Map<string, Tenant>> = {
    realtime: new Map(),
    bulk: new Map(),
  };

  enter(request: TenantsRequest): void {
    const tenants = this.#tenants[request.class];
    const tenant = tenants.get(request.tenant) ?? { requests: new Set(), items: 0 };
    tenants.set(request.tenant, tenant);
    tenant.requests.add(request);
    tenant.items += request.items;
  }

  /** The same object that entered; again: nothing. */
  leave(request: TenantsRequest): void {
    const tenants = this.#tenants[request.class];
    const tenant = tenants.get(request.tenant);
    if (tenant?.requests.delete(request) !== true) return;
    tenant.items -= request.items;
    if (tenant.requests.size === 0) tenants.delete(request.tenant);
  }

  view(nowMs: number): readonly TenantStatus[] {
    return workClasses.flatMap((workClass) =>
      [...this.#tenants[workClass]]
        .toSorted(([, left], [, right]) => right.items - left.items)
        .slice(0, tenantsMax)
        .map(([tenant, { requests, items }]) => {
          const [oldest] = requests;
          const oldestMs = oldest === undefined ? 0 : nowMs - oldest.arrivedAtMs;
          return { tenant, class: workClass, requests: requests.size, items, oldestMs };
        }),
    );
  }
}
