/** The part of the plan that makes Postfix hand its mail to OpenDKIM. */
import {type AbsolutePath, below} from '../../domain/paths.ts';
import {ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {type PlanHost, textOf, textStep} from '../files.ts';
import {COMMAND_MS} from '../limits.ts';
import {serviceStep} from '../manager.ts';
import type {MtaChange} from '../mta.ts';
import type {CheckStep, ServiceStep} from '../step.ts';
import {changersBehind, editMainCf, judgedTooEarly, strayEntries} from './edit.ts';
import type {PostfixFacts} from './facts.ts';
import {editMasterCf} from './master.ts';
import type {Ours} from './milters.ts';
import {inForce, parseMainCf, settingsOf} from './parse.ts';

export interface PostfixHost extends PlanHost {
  readonly postfix: PostfixFacts;
}

export const masterCf = (postfix: Pick<PostfixFacts, 'configDirectory'>): AbsolutePath =>
  below(postfix.configDirectory, 'master.cf');

/** Steps for main.cf and master.cf, the check and the reload; none where both milter lists lead to the endpoint already. */
export function planPostfix(host: PostfixHost, ours: Ours): Result<MtaChange> {
  const {postfix, snapshot} = host;
  const text = textOf(snapshot, postfix.mainCf);
  if (!text.ok) return text;
  const next = editMainCf(text.value, ours, postfix);
  const remarks = [...remarksOn(host, next, ours), ...mended(text.value, next)];
  const master = textOf(snapshot, masterCf(postfix));
  if (!master.ok) return master;
  const settings = settingsOf(parseMainCf(next));
  const files = [
    ...textStep(snapshot, postfix.mainCf, next, 'Send mail through OpenDKIM before it leaves'),
    ...textStep(
      snapshot,
      masterCf(postfix),
      editMasterCf(master.value, ours, {...postfix, settings}),
      'Let services with settings of their own sign once, too',
    ),
  ];
  if (files.length === 0) return ok({steps: [], remarks});
  return ok({steps: [...files, check(), reload(host)], remarks});
}

/** What was wrong in main.cf for any milter, and is put right. */
function mended(before: string, after: string): readonly Problem[] {
  const value = (text: string, name: string): string => inForce(parseMainCf(text), name)?.value ?? '';
  const remarks: Problem[] = [];
  if (value(before, 'milter_protocol') !== value(after, 'milter_protocol')) {
    remarks.push(
      problem(
        'postfix.milter-protocol',
        `milter_protocol is "${visible(value(before, 'milter_protocol'))}", with which Postfix speaks to no milter; the plan sets 6.`,
        'It is the default; the line can go.',
      ),
    );
  }
  if (value(before, 'milter_mail_macros') !== value(after, 'milter_mail_macros')) {
    remarks.push(
      problem(
        'postfix.mail-macros',
        'milter_mail_macros lacks {auth_type}: mail of users who log in from elsewhere would not be signed; the plan adds it.',
        'It is part of the default; without the line Postfix sends it.',
      ),
    );
  }
  return remarks;
}

function remarksOn(host: PostfixHost, text: string, ours: Ours): readonly Problem[] {
  const remarks: Problem[] = [];
  const action = inForce(parseMainCf(text), 'milter_default_action')?.value ?? '';
  if (action !== 'accept') {
    remarks.push(
      problem(
        'postfix.default-action',
        `milter_default_action is "${visible(action)}" and stays so: mail waits or is refused while OpenDKIM is down.`,
        'With "accept" it would go out unsigned instead: postconf -e milter_default_action=accept.',
      ),
    );
  }
  const stray = strayEntries(text, ours, host.postfix);
  if (stray.length > 0) {
    remarks.push(
      problem(
        'postfix.stray-milter',
        `The milter lists have ${stray.map(entry => visible(entry)).join(', ')} besides OpenDKIM's real socket.`,
        'Take it out, unless another signer answers there.',
      ),
    );
  }
  const behind = changersBehind(text, ours, host.postfix);
  if (behind.length > 0) {
    remarks.push(
      problem(
        'postfix.changed-after-signing',
        `${behind.map(entry => visible(entry)).join(', ')} stands behind OpenDKIM in smtpd_milters and stays there: what it changes breaks the signature.`,
        'Move OpenDKIM behind it, unless it changes neither body nor signed headers.',
      ),
    );
  }
  if (judgedTooEarly(text, ours, host.postfix)) {
    remarks.push(
      problem(
        'postfix.milter-order',
        'A DMARC or ARC milter stands before OpenDKIM in smtpd_milters and stays there.',
        'Move OpenDKIM before it, or DMARC fails for incoming mail that is right.',
      ),
    );
  }
  return remarks;
}

const check = (): CheckStep => ({
  kind: 'check',
  id: 'check:postfix',
  why: 'Let Postfix check its configuration',
  argv: ['postfix', 'check'],
  timeoutMs: COMMAND_MS,
});

function reload({facts, postfix}: PostfixHost): ServiceStep {
  const systemd = facts.serviceManager === 'systemd';
  const step = serviceStep(facts.serviceManager, {
    unit: systemd ? postfix.unit : 'postfix',
    why: 'Let Postfix take the new configuration',
    action: 'reload',
    steadyMs: 500,
    wasActive: postfix.running,
  });
  return {
    ...step,
    argv: systemd ? step.argv : ['postfix', 'reload'],
    // The unit of Debian 12 says nothing about Postfix itself; this does on every release
    // (daemons/postfix.md#units).
    ready: {...step.ready, activeArgv: ['postfix', 'status']},
  };
}
