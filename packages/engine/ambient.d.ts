/**
 * The two standard classes beyond ECMAScript that the engine may use. They are the same in Node and in browsers;
 * the DOM library and Node's types stay out, so that nothing else of either can slip in.
 */
declare class TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>
}

declare class TextDecoder {
  constructor(label?: 'utf-8', options?: { fatal?: boolean; ignoreBOM?: boolean })
  decode(input?: Uint8Array): string
}
