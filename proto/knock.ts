/**
 * The event of livedevd's own: a stub that is invoked says hello, and with it come its function's credentials. Known by
 * its first bytes on both ends, so that no user's code ever sees one, whoever sent it and whoever answers it.
 */
const BEGIN = '{"livedev:knock":';

export function isKnock(event: Uint8Array): boolean {
  for (let at = 0; at < BEGIN.length; at += 1) if (event[at] !== BEGIN.charCodeAt(at)) return false;
  return true;
}

/** `proof`: of whoever holds the stage's key, for a minute or so. */
export function knockOf(proof: { readonly at: number; readonly mac: string }): string {
  return `${BEGIN}${JSON.stringify(proof)}}`;
}
