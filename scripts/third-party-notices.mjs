/**
 * The licences of what is bundled. MIT, ISC and BSD allow to ship the code of others if their notices go with it, and a
 * bundle leaves the files that hold them behind.
 *
 * @module
 */
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';

/** Packages that come without the text of their licence, and one of the same holder and licence that has it. */
const TEXT_OF = new Map([['yoga-layout', 'react']]);

const LICENCE_FILE = /^(licen[cs]e|copying|notice)([-.].*)?$/i;

/** Folders of the packages that have code in the output of `metafiles`, as esbuild writes them for builds in `top`. */
function packagesIn(metafiles, top) {
  const folders = new Set();
  for (const {outputs} of metafiles) {
    for (const {inputs} of Object.values(outputs)) {
      for (const [input, {bytesInOutput}] of Object.entries(inputs)) {
        const folder = /^.*\bnode_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
        if (folder !== undefined && bytesInOutput > 0) folders.add(path.resolve(top, folder));
      }
    }
  }
  return [...folders];
}

function noticeOf(folder, folders) {
  const {name, version, license} = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const other = TEXT_OF.get(name);
  const from = other === undefined ? folder : folders.find(each => path.basename(each) === other);
  const texts = readdirSync(from ?? folder)
    .filter(file => LICENCE_FILE.test(file))
    .sort()
    .map(file => readFileSync(path.join(from ?? folder, file), 'utf8').trim());
  if (texts.length === 0)
    throw new Error(`${name} has no licence file: look again at ${import.meta.filename}`);
  return {name, text: [`${name} ${version}: ${license}`, ...texts].join('\n\n')};
}

/** The text of dist/THIRD-PARTY-NOTICES.txt. Fails where a package comes without its licence. */
export function thirdPartyNotices(metafiles, top) {
  const folders = packagesIn(metafiles, top);
  const notices = folders.map(folder => noticeOf(folder, folders));
  const unique = new Set(notices.sort((one, two) => (one.name < two.name ? -1 : 1)).map(({text}) => text));
  return [
    'waxseal contains code of these packages, each under its own licence.\n',
    ...[...unique].map(text => `${'-'.repeat(78)}\n${text}\n`),
  ].join('\n');
}
