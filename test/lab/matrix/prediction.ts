/** Runs on the mail host: what waxseal says of a message, by the picture of the host, in the words of `describeTruth`. */
import {
  createAsker,
  type HostPicture,
  lookAtHostPicture,
  type MailAnswer,
  type MailQuestion,
} from '../../../src/host/index.ts';
import {look} from '../../../src/services/look.ts';
import type {Entrance} from '../../../src/services/mta.ts';
import {createRealPorts} from '../../../src/system/real/index.ts';
import {FOREIGN, type Prediction, type Question} from './configuration.ts';

const PORTS = createRealPorts();

export async function lookAtPicture(): Promise<HostPicture> {
  const facts = await look(PORTS);
  return lookAtHostPicture(PORTS, facts, {reach: true});
}

/** Entrances that a message passes one after the other, each as a new message. */
const ENTRANCES: Readonly<Record<string, readonly string[]>> = {
  local: ['local'],
  bs: ['local'],
  qmqp: ['qmqp'],
  bounce: ['bounce'],
  copy: ['bounce'],
  notice: ['notice'],
  // The program that the list names calls sendmail(1).
  list: ['25', 'local'],
};

/** Reports about a message that is handed in by sendmail(1). */
const OF_MAIL_BY_SENDMAIL: ReadonlySet<string> = new Set(['bounce', 'copy']);

function entranceOf(picture: HostPicture, name: string): Entrance | undefined {
  const isAt = ({listensOn}: Entrance): boolean => listensOn === name || listensOn.endsWith(`:${name}`);
  return picture.entrances.find(each => (/^\d+$/.test(name) ? isAt(each) : each.kind === name));
}

/**
 * @param from the address in From, where the host makes the message by itself: that of a bounce
 */
export function predict(picture: HostPicture, question: Question, from: string | undefined): Prediction {
  const names = ENTRANCES[question.entrance] ?? [String(question.port ?? 25)];
  const ask = createAsker(picture);
  const isLocal = question.isProxied || (question.client === 'local' && question.clientAddress === undefined);
  const sender = question.fields.find(field => field.startsWith('Sender: '))?.slice('Sender: '.length);
  const asked: MailQuestion = {
    from: from ?? question.from,
    ...(sender === undefined ? {} : {sender}),
    client: isLocal
      ? {name: 'localhost', address: '127.0.0.1'}
      : {name: nameOf(question), address: question.clientAddress ?? FOREIGN.address},
    authenticated: false,
    recipients: [`token@${question.to}`],
  };
  const answers: MailAnswer[] = [];
  const own =
    from === undefined && OF_MAIL_BY_SENDMAIL.has(question.entrance)
      ? entranceOf(picture, 'local')
      : undefined;
  // Nothing is reported of a message that does not get in.
  const first = own === undefined ? undefined : ask(own, asked);
  if (first?.outcome === 'refused') answers.push(first);
  for (const name of names) {
    const entrance = entranceOf(picture, name);
    if (entrance === undefined)
      return {outcome: 'no such entrance', count: 0, survives: 'yes', keys: [], because: name};
    // Where nobody can log in the message is handed in without.
    const authenticated = question.login && entrance.login !== 'no';
    // A list's second message comes from the host itself, whoever sent the first.
    answers.push(ask(entrance, {...asked, authenticated}));
  }
  const [worst] = ['refused', 'unknown', 'signed', 'unsigned'].flatMap(outcome =>
    answers.filter(each => each.outcome === outcome),
  );
  const signatures = answers.flatMap(each => each.signatures);
  const step = worst?.because ?? worst?.steps.findLast(({kind}) => kind === 'signs');
  return {
    outcome: worst?.outcome ?? 'unknown',
    count: signatures.length,
    survives: worst === undefined || isUnclear(worst) ? 'depends' : worst.survives,
    keys: signatures.map(({domain, selector}) => `${domain}/${selector}`).sort(),
    because: step === undefined ? '' : `${step.decision.name}: ${step.decision.says}`,
  };
}

/** A client without a name is called by its address. */
const nameOf = ({clientName = FOREIGN.name, clientAddress = FOREIGN.address}: Question): string =>
  clientName === '[UNAVAILABLE]' ? `[${clientAddress}]` : clientName;

/** Behind the signer stands a program that waxseal does not know, and says so: what it does to the message cannot be told. */
function isUnclear({steps, survives}: MailAnswer): boolean {
  const last = steps.findLastIndex(({kind}) => kind === 'signs');
  return survives === 'yes' && last >= 0 && steps.slice(last).some(({kind}) => kind === 'unknown');
}
