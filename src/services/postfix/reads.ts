/** What a plan of Postfix looks at: its two files, the sockets that its milter lists name, its account. */
import {below} from '../../domain/paths.ts';
import type {Ports} from '../../system/ports.ts';
import type {HostFacts} from '../facts.ts';
import {tryReadText} from '../reading.ts';
import type {Reads} from '../snapshot.ts';
import {milterEndpoints} from './edit.ts';
import type {PostfixFacts} from './facts.ts';
import {masterCf} from './steps.ts';

/** @param signers directories below the queue directory where a signer's socket may be made */
export async function postfixReads(
  {files}: Pick<Ports, 'files'>,
  postfix: PostfixFacts,
  {layout}: Pick<HostFacts, 'layout'>,
  signers: readonly string[],
): Promise<Reads> {
  const text = (await tryReadText(files, postfix.mainCf)) ?? '';
  // An entry whose socket is not there leads nowhere.
  const sockets = milterEndpoints(text, postfix).flatMap(endpoint =>
    endpoint.kind === 'unix' ? [endpoint.path] : [],
  );
  return {
    texts: [postfix.mainCf, masterCf(postfix)],
    places: [...signers.map(name => below(postfix.queueDirectory, name)), ...sockets],
    keys: [],
    users: layout === undefined ? [] : [layout.postfix.user],
    groups: layout === undefined ? [] : [layout.postfix.group],
  };
}
