/** What `?` says on each screen, for somebody who has not met DKIM before. Questions bring their own. */
import {questionOf} from '../../flow/questions.ts';
import type {Phase} from '../../flow/state.ts';
import {MTAS} from '../../services/registry.ts';

const MTA = MTAS[0].words.program;

export interface Help {
  readonly title: string;
  readonly lines: readonly string[];
}

const LOOK: Help = {
  title: 'What is this about?',
  lines: [
    'DKIM is a seal on your mail. A private key on this host signs every message; the public half stands in the DNS of your domain. Who receives a message can see that it comes from you and was not altered.',
    'waxseal reads how this host sends mail, makes a key, waits until its record is in the DNS, shows every change before it makes it, and proves with real messages that signing works.',
    'Until you have agreed to the changes, nothing on this host is touched.',
  ],
};

const RECORD: Help = {
  title: 'The record',
  lines: [
    'Receivers need the public half of the key. It belongs in the DNS as a TXT record under the name that is shown.',
    'Web panels mostly want the name without your domain and the value without quotes: that is the first form. The zone file forms are for BIND, NSD and the like; f goes through the forms.',
    'The value must arrive whole. If a panel limits a text to 255 characters, enter it in pieces as the zone file form shows them.',
    'd shows the same as an alias into another zone of yours, which a program may change: published once, rotated for ever.',
    'The private half never leaves this host.',
  ],
};

const PROPAGATION: Help = {
  title: 'Why wait?',
  lines: [
    'Your domain has several DNS servers, and each must have the record: a receiver may ask any of them. waxseal asks every one directly, so that it sees the truth and not a copy from memory.',
    'No message is signed before all of them agree. A signature whose key cannot be found makes mail look worse than none.',
    'This may take minutes or, with some providers, hours. You may leave: the key is kept, and waxseal goes on here when you run it again.',
  ],
};

const PLAN: Help = {
  title: 'Reading the plan',
  lines: [
    'This is everything that will be changed, nothing else is touched. Lines with + are added, lines with - are taken away.',
    'The new configuration has been tried already, in a second signer that no mail goes through.',
    'c shows your answers and asks one of them again; nothing is lost by it.',
    'Every file is backed up first. If a step or the test after it fails, all is put back as it was. "waxseal undo" does the same later.',
  ],
};

const WORKING: Help = {
  title: 'What happens now',
  lines: [
    `The changes are made one by one, each checked before the next. Then a message is sent to the signer as ${MTA} does it, and two go through ${MTA} without leaving this host.`,
    'Ctrl-C ends the step in hand and puts everything back.',
  ],
};

const INSTALLING: Help = {
  title: 'What happens now',
  lines: [
    'The package manager of this host fetches and installs what was named, from the sources that it always uses. Nothing is configured yet.',
    'Ctrl-C ends the step in hand and takes out again what was installed.',
  ],
};

const RECOVERING: Help = {
  title: 'What happens now',
  lines: [
    'An earlier run was cut off in the middle of its changes. Each file and service that it touched becomes what it was before, the last one first, from the copies that it made.',
    'Ctrl-C waits until that is done and then leaves.',
  ],
};

export function helpFor(phase: Phase): Help {
  switch (phase.at) {
    case 'asking': {
      const question = questionOf(phase.question);
      return {title: question.title, lines: [...question.help, ...flagLine(question.flag, question.metavar)]};
    }
    case 'record':
    case 'making-key':
      return RECORD;
    case 'propagation':
      return PROPAGATION;
    case 'planning':
    case 'plan':
      return PLAN;
    case 'applying':
    case 'testing':
    case 'rolling-back':
      return WORKING;
    case 'recovering':
      return RECOVERING;
    case 'installing':
      return INSTALLING;
    case 'leaving':
      return helpFor(phase.from);
    case 'looking':
    case 'host':
    case 'finished':
      return LOOK;
  }
}

const flagLine = (flag: string | undefined, metavar: string | undefined): readonly string[] =>
  flag === undefined ? [] : [`Without questions: ${flag}${metavar === undefined ? '' : ` ${metavar}`}`];
