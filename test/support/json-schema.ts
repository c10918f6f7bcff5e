/** As much of JSON Schema as waxseal's own schema uses; unknown keywords are an error, not ignored. */

const KNOWN = new Set([
  '$schema',
  'title',
  'type',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'enum',
  'const',
  'pattern',
  'anyOf',
]);

type Schema = Readonly<Record<string, unknown>>;

const typeOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
};

/** Every place where the value is not as the schema says; empty where it is. */
export function violations(schema: Schema, value: unknown, path = '$'): readonly string[] {
  const unknown = Object.keys(schema).filter(keyword => !KNOWN.has(keyword));
  if (unknown.length > 0) return [`${path}: unknown keyword ${unknown.join()}`];
  const out: string[] = [];
  const types = [schema['type'] ?? typeOf(value)].flat();
  if (!types.includes(typeOf(value))) out.push(`${path}: is ${typeOf(value)}, not ${types.join()}`);
  if ('const' in schema && schema['const'] !== value) out.push(`${path}: is not ${String(schema['const'])}`);
  if (Array.isArray(schema['enum']) && !schema['enum'].includes(value))
    out.push(`${path}: ${String(value)} is not allowed`);
  if (
    typeof schema['pattern'] === 'string' &&
    typeof value === 'string' &&
    !new RegExp(schema['pattern']).test(value)
  ) {
    out.push(`${path}: does not match ${schema['pattern']}`);
  }
  const options = schema['anyOf'];
  if (Array.isArray(options) && !options.some((each: Schema) => violations(each, value, path).length === 0)) {
    out.push(`${path}: fits none of the alternatives`);
  }
  if (Array.isArray(value) && schema['items'] !== undefined) {
    out.push(...value.flatMap((each, at) => violations(schema['items'] as Schema, each, `${path}[${at}]`)));
  }
  if (typeOf(value) === 'object') out.push(...objectViolations(schema, value as Schema, path));
  return out;
}

function objectViolations(schema: Schema, value: Schema, path: string): readonly string[] {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const required = (schema['required'] ?? []) as readonly string[];
  return [
    ...required.filter(name => !(name in value)).map(name => `${path}: ${name} is missing`),
    ...Object.entries(value).flatMap(([name, each]) => {
      const own = properties[name];
      if (own !== undefined) return violations(own, each, `${path}.${name}`);
      return schema['additionalProperties'] === false ? [`${path}: ${name} is not in the schema`] : [];
    }),
  ];
}
