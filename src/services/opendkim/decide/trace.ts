/** One question on its way through the tests: what was decided so far, and what could not be followed. */
import type {Decision, Source} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {SigningQuestion} from '../../signer.ts';
import type {SetRow} from './data-set.ts';
import type {Model, NamedSet, SetName} from './model.ts';
import {flag, type Setting, shownValue} from './settings.ts';

export type Outcome = 'signed' | 'unsigned' | 'refused' | 'unknown';

/** Where a decision stands: a setting, or a row. */
export type Place = Pick<Setting, 'name' | 'value' | 'source'>;

export class Trace {
  readonly model: Model;
  readonly asked: SigningQuestion;
  readonly decisions: Decision[] = [];
  /** Tests that waxseal cannot follow and that the answer may depend on. */
  readonly open: Decision[] = [];
  /** The message ends the daemon. */
  dies = false;
  invalid: Decision | undefined;

  constructor(model: Model, asked: SigningQuestion) {
    this.model = model;
    this.asked = asked;
  }

  note(of: Place, says: string, row?: SetRow): Decision {
    const decision = this.place(of, says, row);
    this.decisions.push(decision);
    return decision;
  }

  place(of: Place, says: string, row?: SetRow): Decision {
    const {name, source} = of;
    const value = row === undefined ? shownValue(of) : visible(row.key);
    return {name: visible(name), value, source: row?.source ?? source, says};
  }

  unread(of: Place, says: string): 'unknown' {
    this.open.push(this.note(of, says));
    return 'unknown';
  }

  readonly unreadable = ({setting, set, why = "can't be read"}: NamedSet): string =>
    set === undefined
      ? `${setting.name} ${why}.`
      : `${setting.name} has a pattern that waxseal doesn't evaluate.`;

  client(): string {
    const {name, address} = this.asked.client;
    const shown = /^\[|^$/.test(name) || name === address ? address : `${name} [${address}]`;
    return visible(shown);
  }

  verifies = (): boolean => this.setting('Mode')?.value.includes('v') ?? true;
  readonly macro = (name: string): string | undefined => this.asked.macros.get(name);
  readonly set = (name: SetName): NamedSet | undefined => this.model.sets.get(name);
  readonly setting = (name: string): Setting | undefined => this.model.settings(name);
  readonly flag = (name: string, byDefault: boolean): boolean => flag(this.model.settings, name, byDefault);
  readonly byDefault = (): Source => ({by: 'default', program: this.model.program});
}
