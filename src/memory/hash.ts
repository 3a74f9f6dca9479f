/**
 * FNV-1a over the UTF-8 of a text, a word at a time: a CPU thread hashes the names of a whole kernel before any of its code is
 * warm.
 */
export function hashText(text: string): number {
  const bytes = new TextEncoder().encode(text);
  const words = new Int32Array((bytes.length + 3) >>> 2);
  new Uint8Array(words.buffer).set(bytes);
  let hash = 0x811c9dc5;
  for (let index = 0; index < words.length; index++) hash = Math.imul(hash ^ words[index]!, 0x01000193);
  return hash | 0;
}
