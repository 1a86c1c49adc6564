/** An error names the fields of the task; a caller of another protocol knows them by the names that they have there. */
import { MillraceError } from "millrace-client/wire";

/** `["texts", "input"]`: what is called `texts[3]` below was sent as `input[3]`. The first that fits counts. */
export type FieldNames = readonly (readonly [task: string, protocol: string])[];

/** What else was thrown is given back as it is. */
export function renamedFields(thrown: unknown, names: FieldNames): unknown {
  if (!(thrown instanceof MillraceError) || thrown.param === undefined) return thrown;
  const { code, message, param, retryAfterMs, cause } = thrown;
  const [task, protocol] = names.find(([name]) => isOf(param, name)) ?? [];
  if (task === undefined || protocol === undefined) return thrown;
  const renamed = `${protocol}${param.slice(task.length)}`;
  return new MillraceError(
    code,
    message.replace(param, () => renamed),
    {
      param: renamed,
      ...(cause === undefined ? {} : { cause }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}

function isOf(param: string, name: string): boolean {
  return param === name || param.startsWith(`${name}[`) || param.startsWith(`${name}.`);
}
