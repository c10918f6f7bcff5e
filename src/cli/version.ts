declare const WAXSEAL_VERSION: string;

/** Put in by the build from package.json. */
export const version = (): string => (typeof WAXSEAL_VERSION === 'string' ? WAXSEAL_VERSION : '0.0.0-source');
