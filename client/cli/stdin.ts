export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  // Editors on Windows begin a file with it.
  return Buffer.concat(chunks)
    .toString()
    .replace(/^\uFEFF/, "");
}
