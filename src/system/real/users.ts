import {absolute} from '../../domain/paths.ts';
import type {Commands, Files, GroupEntry, UserEntry, Users} from '../ports.ts';

/** passwd(5) and group(5) of the host; what is not there (LDAP, systemd-userdb) is asked of getent(1) where given. */
export function createUsers(files: Files, getent?: Commands): Users {
  const lines = async (path: string): Promise<readonly string[]> => {
    const bytes = await files.read(absolute(path));
    return bytes === undefined ? [] : Buffer.from(bytes).toString('utf8').split('\n');
  };
  const users = async (): Promise<readonly UserEntry[]> => (await lines('/etc/passwd')).flatMap(parseUser);
  const groups = async (): Promise<readonly GroupEntry[]> => (await lines('/etc/group')).flatMap(parseGroup);
  const ask = async (database: 'passwd' | 'group', key: string): Promise<readonly string[]> => {
    // A key that begins with a hyphen would be an option.
    if (getent === undefined || key.startsWith('-') || key === '') return [];
    const answer = await getent.run(['getent', database, key]);
    return answer.status === 0 ? answer.stdout.split('\n') : [];
  };
  return {
    user: async name =>
      (await users()).find(user => user.name === name) ??
      (await ask('passwd', name)).flatMap(parseUser).find(user => user.name === name),
    userById: async uid =>
      (await users()).find(user => user.uid === uid) ??
      (await ask('passwd', String(uid))).flatMap(parseUser)[0],
    group: async name =>
      (await groups()).find(group => group.name === name) ??
      (await ask('group', name)).flatMap(parseGroup).find(group => group.name === name),
    groupById: async gid =>
      (await groups()).find(group => group.gid === gid) ??
      (await ask('group', String(gid))).flatMap(parseGroup)[0],
    primaryMembers: async gid => (await users()).filter(user => user.gid === gid),
  };
}

const number = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;

function parseUser(line: string): UserEntry[] {
  const [name, , uidText, gidText] = line.split(':');
  const uid = number(uidText);
  const gid = number(gidText);
  return name && uid !== undefined && gid !== undefined ? [{name, uid, gid}] : [];
}

function parseGroup(line: string): GroupEntry[] {
  const [name, , gidText, members = ''] = line.split(':');
  const gid = number(gidText);
  return name && gid !== undefined ? [{name, gid, members: members.split(',').filter(Boolean)}] : [];
}
