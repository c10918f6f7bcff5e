/** The answer of the picture about one message, in the user's words: every decision on the way, then the end of it. */
import {command} from '../domain/command.ts';
import {sourceText} from '../domain/source.ts';
import {visible} from '../domain/text.ts';
import {
  type AnswerStep,
  entranceText,
  isDoubled,
  type MailAnswer,
  type MailQuestion,
  type StepKind,
} from '../host/index.ts';
import type {Check} from '../proof/proof.ts';
import type {Entrance} from '../services/mta.ts';

export interface Explained {
  readonly entrance: Entrance;
  readonly question: MailQuestion;
  readonly answer: MailAnswer;
}

const KINDS: Readonly<Record<StepKind, string>> = {
  passes: 'then',
  signs: 'signs',
  stops: 'no',
  refuses: 'refuses',
  breaks: 'breaks',
  unknown: 'unknown',
};

/** One line a decision: what it does, who decides, what is written, where, and what follows from it. */
export const stepLines = ({answer: {steps}}: Explained): readonly string[] =>
  steps.map(
    ({kind, by, decision: {name, value, source, says}}: AnswerStep) =>
      `      ${KINDS[kind].padEnd(7)}  ${visible(by)}: ${visible(name)}${value === '' ? '' : ` = ${visible(value)}`} (${sourceText(source)}). ${visible(says)}`,
  );

/** The check `explain.signed`: passes where the message leaves with a signature that verifies. */
export function explainedCheck(explained: Explained): Check {
  const {entrance, question, answer} = explained;
  const title = `Mail from ${visible(question.from)}, ${wayText(explained)}`;
  const of = (status: Check['status'], evidence: string, cause = '', fix = ''): Check => ({
    ...{id: 'explain.signed', title, status},
    ...{evidence: visible(evidence), cause: visible(cause), fix},
  });
  const decision = answer.because?.decision;
  const why = decision === undefined ? '' : `${decision.name} (${sourceText(decision.source)})`;
  switch (answer.outcome) {
    case 'refused':
      return of('fail', `refused: ${why}`, decision?.says, nextLook(entrance, answer));
    case 'unknown':
      return of('warn', `can't be told: ${why}`, decision?.says);
    case 'unsigned':
      return isStranger(explained)
        ? of('fail', `not signed: ${why}`, `${decision?.says ?? ''} ${RIGHT}`.trim(), ownClient(question))
        : of('fail', `not signed: ${why}`, decision?.says, nextLook(entrance, answer));
    case 'signed':
      if (answer.survives === 'no')
        return of('fail', `${signedBy(answer)}; then changed by ${why}`, decision?.says);
      if (answer.survives === 'depends')
        return of('warn', `${signedBy(answer)}; ${why} may change it`, decision?.says);
      if (answer.signatures.some(({survives}) => survives !== 'yes')) {
        const broken = answer.steps.find(({kind}) => kind === 'breaks')?.decision.says ?? '';
        return of('warn', signedBy(answer), `One signature holds. ${broken}`);
      }
      return of(isDoubled(answer) ? 'warn' : 'pass', signedBy(answer), isDoubled(answer) ? TWICE : '');
  }
}

const TWICE = 'The message passes the signer twice: both signatures are valid, one is enough.';
const RIGHT = 'That is right: mail of a stranger must not get your signature.';

/** Somebody elsewhere who has not logged in. */
const isStranger = ({entrance, question: {client, authenticated}}: Explained): boolean =>
  (!authenticated || entrance.login === 'no') &&
  entrance.listensOn !== '' &&
  !/^(?:127\.|::1$)/.test(client.address);

const ownClient = ({client}: MailQuestion): string =>
  `If this client is yours, have it log in, or trust its address: ${command('sudo', 'waxseal', 'setup', '--trusted-hosts', client.address)}`;

function nextLook({id}: Entrance, {outcome}: MailAnswer): string {
  return outcome === 'refused' && id === 'local'
    ? `Look for what waits: ${command('sudo', 'waxseal', 'check')}`
    : `See what else is wrong: ${command('sudo', 'waxseal', 'check')}`;
}

/** `port 587, client 192.0.2.7, logged in`. */
export function wayText({entrance, question: {client, authenticated}}: Explained): string {
  if (entrance.listensOn === '') return entranceText(entrance).replace(/^mail /, '');
  const port = entranceText(entrance).replace(/^mail /, '');
  return [
    port,
    `client ${client.address}`,
    ...(authenticated && entrance.login !== 'no' ? ['logged in'] : []),
  ]
    .map(text => visible(text))
    .join(', ');
}

function signedBy({signatures}: MailAnswer): string {
  return signatures
    .map(({domain, selector, row, keyPath, program}) =>
      [
        `signed by selector ${selector} for ${domain}`,
        `by the row "${row.pattern}" of ${program} (${sourceText(row.source)})`,
        ...(keyPath === undefined ? [] : [`with the key ${keyPath}`]),
      ].join(', '),
    )
    .join('; and ');
}
