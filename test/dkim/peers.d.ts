// The peers have no types for the entry points that are measured here.
declare module 'mailauth/lib/dkim/sign.js' {
  export function dkimSign(
    input: Uint8Array | NodeJS.ReadableStream,
    options: object,
  ): Promise<{readonly signatures: string; readonly errors: readonly unknown[]}>;
}

declare module 'mailauth/lib/dkim/verify.js' {
  export function dkimVerify(
    input: Uint8Array | NodeJS.ReadableStream,
    options: object,
  ): Promise<{
    readonly results: readonly {readonly status: {readonly result: string; readonly comment?: string}}[];
  }>;
}

declare module 'nodemailer/lib/dkim/index.js' {
  const DKIM: new (
    options: object,
  ) => {
    sign(input: Uint8Array | string): NodeJS.ReadableStream;
  };
  // biome-ignore lint/style/noDefaultExport: nodemailer exports it so
  export default DKIM;
}
