import {visible} from '../domain/text.ts';
import type {Before, DirectoryStep, FileStep, Owner, RemoveStep, Step} from '../services/step.ts';
import type {Mode} from '../system/ports.ts';
import {shownText} from './octets.ts';
import type {ChangeView, Plan} from './plan.ts';
import {holdsPrivateKey, textDiff} from './text-diff.ts';

/** Permission bits as chmod(1) takes them: `0640`. */
export const octal = (mode: Mode): string => mode.toString(8).padStart(4, '0');

const owned = (owner: Owner, mode: Mode): string =>
  `${visible(owner.user)}:${visible(owner.group)} ${octal(mode)}`;

/** What stands for a private key wherever it would be shown. */
export const secretNotice = (sha256: string): string =>
  `private key, SHA-256 ${sha256.slice(0, 16)}…, not shown`;

/** Every change of a plan as it is shown and put into JSON, in the order of the plan. Checks change nothing: left out. */
export const changeViews = (plan: Pick<Plan, 'steps'>): readonly ChangeView[] => plan.steps.flatMap(viewOf);

/** The whole plan as one text: the diffs, and a line for each change that has none. */
export const planDiff = (plan: Pick<Plan, 'steps'>): string =>
  changeViews(plan)
    .map(view => `# ${view.kind} ${view.target}: ${view.action}\n${view.diff}`)
    .join('\n');

function viewOf(step: Step): ChangeView[] {
  switch (step.kind) {
    case 'file':
      return [fileView(step)];
    case 'remove':
      return [removeView(step)];
    case 'directory':
      return [directoryView(step)];
    case 'package':
      return [
        {
          kind: 'package',
          target: step.names.map(name => visible(name)).join(' '),
          action: `install with ${step.manager}`,
          diff: '',
        },
      ];
    case 'service':
      return [{kind: 'service', target: visible(step.unit), action: step.action, diff: ''}];
    case 'dispose':
      return [
        {
          kind: 'write',
          target: visible(step.path),
          action: 'destroy; it cannot be taken back',
          diff: '- private key, not shown\n',
        },
      ];
    case 'reveal':
      return [
        {
          kind: 'write',
          target: visible(step.path),
          action: 'publish the private key, root:root 0644; it cannot be taken back',
          diff: '+ private key, not shown\n',
        },
      ];
    case 'check':
      return [];
  }
}

function fileView(step: FileStep): ChangeView {
  const {content, owner, mode} = step.after;
  const target = visible(step.path);
  const absent = step.before.state === 'absent';
  const verb = absent ? 'create' : 'change';
  const action = `${verb}, ${owned(owner, mode)}${modeChange(step.before, mode)}`;
  if (content.from === 'secret') {
    return {kind: 'write', target, action, diff: `+ ${secretNotice(content.sha256)}\n`};
  }
  const [old, next] = [step.beforeText ?? '', content.text].map(text => shownText({...content, text}));
  const secret = holdsPrivateKey(next ?? '') || holdsPrivateKey(old ?? '');
  if (secret) return {kind: 'write', target, action, diff: '+ private key, not shown\n'};
  const diff = textDiff(step.path, absent ? undefined : old, next);
  return diff === '' ? {kind: 'chown', target, action, diff} : {kind: 'write', target, action, diff};
}

function removeView(step: RemoveStep): ChangeView {
  const target = visible(step.path);
  const text = step.beforeText;
  if (text === undefined) return {kind: 'write', target, action: 'remove', diff: ''};
  const diff = holdsPrivateKey(text) ? '- private key, not shown\n' : textDiff(step.path, text, undefined);
  return {kind: 'write', target, action: 'remove', diff};
}

function directoryView(step: DirectoryStep): ChangeView {
  const target = visible(step.path);
  const action = owned(step.owner, step.mode);
  return step.before.state === 'absent'
    ? {kind: 'mkdir', target, action: `create, ${action}`, diff: ''}
    : {kind: 'chown', target, action: `${action}${modeChange(step.before, step.mode)}`, diff: ''};
}

const modeChange = (before: Before, mode: Mode): string =>
  before.state === 'present' && before.mode !== mode ? ` (mode was ${octal(before.mode)})` : '';
