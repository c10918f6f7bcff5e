/**
 * Whether mail is signed, as the picture of the host has it: every sender on every way in, made by hand or not. One
 * finding stands for all senders and ways that have the same cause.
 */
import {command} from '../domain/command.ts';
import {formatMoment} from '../domain/duration.ts';
import {type Decision, sourceText} from '../domain/source.ts';
import {counted, listed, visible} from '../domain/text.ts';
import {
  canBeShown,
  coveredSender,
  domains,
  entranceText,
  type ForeignSigned,
  foreignSigned,
  type HostPicture,
  isDoubled,
  type MailAnswer,
  type OwnSender,
  type OwnWay,
  ownSenders,
  ownWays,
  reachKey,
  type SenderVerdict,
  type SignatureVerdict,
  signerAt,
  signersInUse,
  type WayVerdict,
  wouldSign,
} from '../host/index.ts';
import type {Check, CheckStatus} from '../proof/proof.ts';
import type {Entrance, MilterHop, Pass} from '../services/mta.ts';

/** What {@link mailChecks} found, and whether all of it could be looked at. */
export interface MailReport {
  readonly checks: readonly Check[];
  readonly verdicts: readonly SenderVerdict[];
}

/**
 * @param wanted domains to judge, lower case; undefined: all. One that no row covers is a finding
 */
export function mailChecks(picture: HostPicture, wanted?: readonly string[]): MailReport {
  const all = ownSenders(picture);
  const senders = wanted === undefined ? all : wanted.flatMap(domain => sendersOf(domain, all, picture));
  const verdicts = domains(picture, senders);
  const checks = [
    ...strangerChecks(foreignSigned(picture, all)),
    ...signedChecks(verdicts),
    ...loginChecks(picture, senders),
    ...rowChecks(verdicts),
    ...keyChecks(verdicts),
    ...shownChecks(picture),
    ...socketChecks(picture),
    ...unreadChecks(picture),
    ...idleChecks(picture),
  ];
  const isWhole = checks.every(({id, status}) => status === 'pass' || id === 'mail.idle');
  const ways = ownWays(picture.entrances);
  if (verdicts.length === 0 || ways.length === 0 || !isWhole) return {checks, verdicts};
  const evidence = `${counted(verdicts.length, 'sender')} on ${counted(ways.length, 'way')}: ${listed(
    ways.map(({text}) => text),
    6,
  )}`;
  return {checks: [check('mail.signed', SIGNED, 'pass', {evidence}), ...checks], verdicts};
}

const SIGNED = 'Mail is signed on every way';

/** The senders of a domain; where no row is about it, the row that covers it, or none. */
function sendersOf(domain: string, all: readonly OwnSender[], picture: HostPicture): readonly OwnSender[] {
  const own = all.filter(({address, row}) => address.endsWith(`@${domain}`) || row.domain === domain);
  return own.length > 0 ? own : [coveredSender(picture, domain) ?? []].flat();
}

const check = (
  id: string,
  title: string,
  status: CheckStatus,
  {evidence, cause = '', fix = ''}: {evidence: string; cause?: string; fix?: string},
): Check => ({...{id, title, status}, ...{evidence: visible(evidence), cause: visible(cause), fix}});

/** One trouble of many senders and ways that has one cause. */
interface Group {
  readonly id: string;
  readonly title: string;
  readonly status: CheckStatus;
  readonly answer: MailAnswer;
  readonly senders: Set<OwnSender>;
  readonly ways: Set<WayVerdict['way']>;
}

function signedChecks(verdicts: readonly SenderVerdict[]): readonly Check[] {
  const groups = new Map<string, Group>();
  for (const {sender, troubles} of verdicts) {
    for (const {way, answer} of troubles) {
      const kind = kindOf(way, answer);
      const because = reasonOf(answer);
      const key = [
        kind.id,
        kind.status,
        kind.title,
        because?.name,
        because && sourceText(because.source),
        because?.value,
      ].join('\0');
      const group = groups.get(key) ?? {...kind, answer, senders: new Set(), ways: new Set()};
      groups.set(key, group);
      group.senders.add(sender);
      group.ways.add(way);
    }
  }
  return [...groups.values()].map(checkOfGroup);
}

function kindOf({entrance}: OwnWay, answer: MailAnswer): Pick<Group, 'id' | 'title' | 'status'> {
  if (answer.outcome === 'refused') return {id: 'mail.accepted', title: 'Mail is accepted', status: 'fail'};
  if (answer.outcome === 'unknown') return {id: 'mail.signed', title: SIGNED, status: 'warn'};
  if (answer.outcome === 'unsigned') return {id: 'mail.signed', title: SIGNED, status: 'fail'};
  if (answer.survives === 'depends' && !entrance.isPassUncertain && !breaksAsKnown(entrance, answer)) {
    return {...SURVIVES, id: 'mail.unproven', status: 'warn'};
  }
  if (answer.survives !== 'yes') {
    return {...SURVIVES, status: answer.survives === 'no' ? 'fail' : 'warn'};
  }
  if (!isDoubled(answer)) return {...SURVIVES, status: 'warn'};
  return {id: 'mail.once', title: 'Mail is signed once', status: 'warn'};
}

/** False where all that may change the message is a program of which nothing is known. */
const breaksAsKnown = ({breakers}: Entrance, {steps}: MailAnswer): boolean =>
  steps.some(
    ({kind, decision}) =>
      kind === 'breaks' && !breakers.some(each => each.decision === decision && each.isUnknown === true),
  );

const SURVIVES = {id: 'mail.survives', title: 'Signed mail leaves as it was signed'} as const;

/** What decided; of a message with one good signature and a broken one: what broke that. */
const reasonOf = ({because, steps}: MailAnswer): Decision | undefined =>
  (because ?? steps.find(({kind}) => kind === 'breaks'))?.decision;

function checkOfGroup({id, title, status, answer, senders, ways}: Group): Check {
  const decision = reasonOf(answer);
  const names = [...new Set([...senders].map(({address}) => address.slice(address.lastIndexOf('@') + 1)))];
  const places = [...ways].map(({text}) => text);
  const [sender] = senders;
  const [way] = ways;
  const where = decision === undefined ? '' : ` (${sourceText(decision.source)})`;
  const setting = decision === undefined ? '' : `${decision.name} = ${decision.value}${where}`;
  const did = id === 'mail.unproven' ? 'signed, then handed to ' : WORDS[answer.outcome];
  const what = isDoubled(answer) && id === 'mail.once' ? twice(answer) : `${did}${setting}`;
  const fix =
    sender === undefined || way === undefined
      ? ''
      : id === 'mail.unproven'
        ? howToShow([...ways], decision)
        : `See the way step by step: ${command(
            'sudo',
            'waxseal',
            'explain',
            sender.address,
            '--entrance',
            way.entrance.id,
            ...(way.authenticated ? ['--authenticated'] : []),
          )}`;
  return check(id, title, status, {
    evidence: `${listed(names, 5)}, ${listed(places, 6)}: ${what}`,
    cause: decision?.says ?? 'The message passes the signer twice.',
    fix,
  });
}

/** `waxseal test` sends by program and by SMTP to port 25; the other ways, and filters, need a mailbox elsewhere. */
function howToShow(ways: readonly OwnWay[], decision: Decision | undefined): string {
  const isTaken = ways.some(
    ({entrance, authenticated}) =>
      !authenticated && entrance.breakers.some(each => each.decision === decision && canBeShown(each)),
  );
  return isTaken
    ? `Send test messages through it: ${command('sudo', 'waxseal', 'test')}`
    : 'Send a message to a mailbox elsewhere: dkim=pass in its Authentication-Results settles it.';
}

const shownChecks = ({shown, entrances}: HostPicture): readonly Check[] =>
  shown.length === 0
    ? []
    : [
        check('mail.unproven', SURVIVES.title, 'pass', {
          evidence: listed(
            shown.map(({entrance, name, value, source, at}) => {
              const way = entrances.find(({id}) => id === entrance);
              const where = way === undefined ? entrance : entranceText(way);
              return `${where}: a test message came through ${name} = ${value} (${source}) and verified, ${formatMoment(at)}`;
            }),
            5,
          ),
        }),
      ];

const WORDS: Readonly<Record<MailAnswer['outcome'], string>> = {
  signed: 'signed, then changed by ',
  unsigned: 'unsigned by ',
  refused: 'refused by ',
  unknown: "can't be told because of ",
};

const twice = ({signatures}: MailAnswer): string =>
  `${signatures.length} signatures (${[...new Set(signatures.map(({service}) => service))].join(', ')})`;

/** Where no port takes logins, nothing is wrong; but logins may be about to be set up. */
function loginChecks(picture: HostPicture, [sender]: readonly OwnSender[]): readonly Check[] {
  const entrance = picture.entrances.find(({kind}) => kind === 'smtp' || kind === 'postscreen');
  if (sender === undefined || entrance === undefined) return [];
  if (picture.entrances.some(({login}) => login !== 'no')) return [];
  const client = {name: 'client.invalid', address: '198.51.100.77'};
  const question = {from: sender.address, client, authenticated: true, recipients: []};
  const {outcome, because} = wouldSign(picture, entrance, question);
  if (outcome !== 'unsigned' || because?.by !== entrance.passes[0]?.service) return [];
  const decision = because?.decision;
  if (decision === undefined || decision.name === entrance.passes[0]?.decidedBy[0]?.name) return [];
  return [
    check('mail.login', 'Mail of clients that log in would be signed', 'warn', {
      evidence: `${decision.name} = ${decision.value} (${sourceText(decision.source)})`,
      cause: decision.says,
      fix: 'Add {auth_type} to it before clients log in here.',
    }),
  ];
}

/** Forged mail that verifies: a finding of the first rank. */
const strangerChecks = (found: readonly ForeignSigned[]): readonly Check[] =>
  found.map(({entrance, client, clients, kind, believed, from, signature, answer}) => {
    const reasons = answer.steps.flatMap(({by, kind: step, decision}) =>
      by === signature.program && (step === 'passes' || step === 'signs') ? [decision] : [],
    );
    const sender = from === answer.from ? from : `${from} (it becomes ${answer.from})`;
    // `explain` wants a domain.
    const explained = from.includes('@') ? from : answer.from;
    const seen = believed === undefined ? client.address : '127.0.0.1';
    const own = entrance.own === undefined ? '' : ` ${entrance.own.decision.name} doesn't have them.`;
    return check('mail.stranger', "Strangers' mail isn't signed", kind === 'anyone' ? 'fail' : 'warn', {
      evidence: `${entranceText(entrance)}, a client at ${client.address} that hasn't logged in (${clients.signed} of ${clients.tried} tried) sends as ${sender}: signed with d=${signature.domain} at ${signature.service}`,
      cause: [
        kind === 'listed'
          ? `Clients that may not be yours get your signature.${own}`
          : 'Forged mail in your name gets your signature and verifies everywhere.',
        ...[...(believed === undefined ? [] : [believed]), ...reasons].map(
          ({says, source}) => `${says} (${sourceText(source)})`,
        ),
      ].join(' '),
      fix:
        kind === 'posing'
          ? 'Let only your proxy connect to this port.'
          : `See who counts as your own: ${command('sudo', 'waxseal', 'explain', explained, '--entrance', entrance.id, '--client', seen)}`,
    });
  });

/** Rows that decide for no sender; of a row that stops mail, `mail.accepted` tells. */
const rowChecks = (verdicts: readonly SenderVerdict[]): readonly Check[] => {
  const unused = verdicts.filter(
    ({isRowUsed, troubles}) => !isRowUsed && troubles.every(({answer}) => answer.outcome === 'signed'),
  );
  const [first] = unused;
  if (first === undefined) return [];
  const rows = unused.map(({sender: {row}}) => `${row.pattern} (${sourceText(row.source)})`);
  return [
    check('mail.row', 'Every row signs mail', 'warn', {
      evidence: listed(rows, 5),
      cause: 'Another row decides first for every sender that this one is for.',
      fix: 'Remove the row, or move it up.',
    }),
  ];
};

function keyChecks(verdicts: readonly SenderVerdict[]): readonly Check[] {
  const seen = new Map<string, SignatureVerdict & {readonly from: string}>();
  const apart: SignatureVerdict[] = [];
  for (const {signatures, domain} of verdicts) {
    for (const each of signatures) {
      const {keyPath, domain: d, selector} = each.signature;
      if (each.key?.known === false) seen.set(keyPath ?? `${selector} ${d}`, {...each, from: domain});
      if (each.alignment === 'none') apart.push(each);
    }
  }
  return [
    ...[...seen.values()].map(({signature: {selector, domain, keyPath}, key}) =>
      check('mail.key', 'The signer has every key', 'fail', {
        evidence: `${keyPath ?? ''}: the key ${selector} of ${domain} ${key?.known === false ? key.why : ''}`,
        cause: 'Mail that this key should sign is deferred or leaves unsigned.',
        fix: `Set it up again: ${command('sudo', 'waxseal', 'setup', '--domain', domain)}`,
      }),
    ),
    ...alignedChecks(verdicts),
  ];
}

const holds = ({signature: {survives}}: SignatureVerdict): boolean => survives !== 'no';

function alignedChecks(verdicts: readonly SenderVerdict[]): readonly Check[] {
  const apart = verdicts.flatMap(({domain, signatures}) =>
    signatures.some(holds) && signatures.filter(holds).every(({alignment}) => alignment === 'none')
      ? [
          `From ${domain}, d=${listed(
            signatures.filter(holds).map(({signature}) => signature.domain),
            3,
          )}`,
        ]
      : [],
  );
  if (apart.length === 0) return [];
  return [
    check('mail.aligned', 'The signature is of the domain in From', 'warn', {
      evidence: listed(apart, 5),
      cause: 'DMARC takes no notice of a signature of another domain.',
      fix: 'Give these senders a key of their own domain.',
    }),
  ];
}

/** Hops that were tried as the process of the MTA, one check a way of connecting. */
function socketChecks(picture: HostPicture): readonly Check[] {
  const found = new Map<string, Check>();
  const answering = new Set<string>();
  for (const {entrance, pass, hop} of hopsOf(picture.entrances)) {
    const key = reachKey(pass, hop);
    const reach = picture.reach.get(key);
    if (reach === undefined) continue;
    if (reach.outcome === 'answers') {
      answering.add(`${hop.text} as ${pass.account.user}`);
      continue;
    }
    if (found.has(key)) continue;
    const program = signerAt(picture.signers, hop)?.program;
    found.set(
      key,
      check('mail.socket', SOCKET, hop.whenDown === 'unsigned' || program !== undefined ? 'fail' : 'warn', {
        evidence: `${hop.text} as ${pass.account.user}, for ${entranceText(entrance)} (${pass.service}): ${reach.detail}`,
        cause: SOCKET_CAUSES[reach.outcome],
        fix: '',
      }),
    );
  }
  if (found.size > 0) return [...found.values()];
  return answering.size === 0
    ? []
    : [check('mail.socket', SOCKET, 'pass', {evidence: listed([...answering], 5)})];
}

const SOCKET = 'The mail server can connect to each milter';

const SOCKET_CAUSES: Readonly<
  Record<'answers' | 'absent' | 'denied' | 'refused' | 'stale-groups' | 'silent' | 'not-a-milter', string>
> = {
  answers: '',
  absent: 'Nothing is at this path as the process sees it, inside of its own root directory if it has one.',
  denied: 'The account of the mail server may not use this socket, or a directory on the way to it.',
  refused: 'Nothing listens there: the program has ended, or listens elsewhere.',
  'stale-groups': 'Running processes still have the groups of before: reload the mail server.',
  silent: 'Something accepts the connection and does not answer.',
  'not-a-milter': 'What listens there is no milter.',
};

function* hopsOf(
  entrances: readonly Entrance[],
): Generator<{readonly entrance: Entrance; readonly pass: Pass; readonly hop: MilterHop}> {
  for (const entrance of entrances) {
    for (const pass of entrance.passes) {
      if ('fatal' in pass.milters) continue;
      for (const hop of pass.milters) yield {entrance, pass, hop};
    }
  }
}

/** Parts of a configuration that decide and that waxseal cannot read: a warning, so that nothing is called right by it. */
const unreadChecks = (picture: HostPicture): readonly Check[] =>
  signersInUse(picture).flatMap(({program, unread}) =>
    unread.map(decision =>
      check('mail.unread', 'Everything that decides was read', 'warn', {
        evidence: `${program}: ${decision.name} = ${decision.value} (${sourceText(decision.source)})`,
        cause: decision.says,
        fix: '',
      }),
    ),
  );

const idleChecks = (picture: HostPicture): readonly Check[] =>
  signersInUse(picture).flatMap(({program, idle}) =>
    idle.map(({name, value, source, says}) =>
      check('mail.idle', 'What is written has an effect', 'warn', {
        evidence: `${program}: ${name} has ${value} (${sourceText(source)})`,
        cause: says,
        fix: 'Write it as it is meant, or remove it.',
      }),
    ),
  );
