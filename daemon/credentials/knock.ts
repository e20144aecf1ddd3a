/**
 * An event of our own: a stub that is invoked says hello, and with it come its function's credentials. Whichever
 * livedevd the stub reaches knows it by its bytes, and answers it itself: no code of the user's sees it.
 */
export const KNOCK: Uint8Array = Buffer.from('{"livedev:knock":"a stub that gets this says hello"}');

export const isKnock = (event: Uint8Array): boolean =>
  event.length === KNOCK.length && Buffer.compare(event, KNOCK) === 0;
