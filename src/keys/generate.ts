import {HostError} from '../domain/errors.ts';
import type {KeySpec, Ports} from '../system/ports.ts';
import {inspectKey, type KeyDescription} from './inspect.ts';

export interface GeneratedKey extends KeyDescription {
  /** PKCS#8 PEM. Secret. */
  readonly pem: string;
}

/** A new private key. Rejects with the reason of `signal` when it aborts; HostError where the source gave no usable key. */
export async function generateKey(
  ports: Pick<Ports, 'keys'>,
  spec: KeySpec,
  signal?: AbortSignal,
): Promise<GeneratedKey> {
  const pem = await ports.keys.generate(spec, signal);
  const described = inspectKey(pem);
  if (!described.ok) throw new HostError(described.problem);
  return {pem, ...described.value};
}
