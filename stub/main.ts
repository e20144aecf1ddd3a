/**
 * The stub: what stands in for a function's runtime in Lambda. It polls the Runtime API, carries each event to
 * livedevd on the developer's machine, and posts what comes back. Started by the exec wrapper, with the runtime's own
 * command as arguments.
 */
import { StreamError } from "../proto/answer.ts";
import { isKnock } from "../proto/knock.ts";
import { INTEGRATION_RESPONSE, unavailable, unavailableStream } from "./away.ts";
import { Call, type Reply } from "./call.ts";
import { DeployedCode } from "./deployed.ts";
import { ownEnvironment } from "./environment.ts";
import { RuntimeApi, type RuntimeEvent } from "./runtime-api.ts";
import { ERROR } from "./sentences.ts";
import { Session } from "./session.ts";
import { addressOf, readSettings, type Settings } from "./settings.ts";

const api = process.env["AWS_LAMBDA_RUNTIME_API"];
if (api === undefined) {
  console.error("livedev: this program runs in AWS Lambda: AWS_LAMBDA_RUNTIME_API is not set.");
  process.exit(1);
}
const runtime = new RuntimeApi(api);

const settings = await settingsOrInitError();
const session = new Session(settings, ownEnvironment(process.env));
const deployed =
  settings.whenAway === "deployed" && process.argv.length > 2
    ? new DeployedCode(process.argv.slice(2), api)
    : undefined;

for (;;) {
  let event: RuntimeEvent;
  try {
    event = await runtime.next();
  } catch (error) {
    console.error(`livedev: the Runtime API is gone: ${(error as Error).message}`);
    process.exit(1);
  }
  try {
    await post(event, await Call.carry(settings, session, event));
  } catch (error) {
    // The environment may still serve the next event; where it cannot, /next says so.
    console.error(`livedev: ${event.requestId} could not be answered: ${(error as Error).message}`);
  }
}

async function post(event: RuntimeEvent, reply: Reply): Promise<void> {
  const { requestId } = event;
  switch (reply.is) {
    case "answer": {
      const { status, contentType, errorType } = reply.frame;
      if (status === "ok") await runtime.respond(requestId, contentType, reply.body);
      else await runtime.fail(requestId, errorType ?? "Error", reply.body);
      break;
    }
    case "stream":
      await stream(requestId, reply);
      break;
    case "away":
      // A knock is livedevd's own: nobody's code is to see it.
      if (deployed && !isKnock(event.event)) await deployed.run(event);
      else await decline(event, ERROR.away, reply.sentence);
      break;
    case "refused":
      await decline(event, ERROR.refused, reply.sentence);
      break;
    case "unknown": {
      const body = { errorType: ERROR.unknown, errorMessage: reply.sentence, stackTrace: [] };
      await runtime.fail(requestId, ERROR.unknown, Buffer.from(JSON.stringify(body)));
      break;
    }
  }
}

async function stream(requestId: string, reply: Extract<Reply, { is: "stream" }>): Promise<void> {
  const response = runtime.stream(requestId, reply.contentType, () => reply.leave());
  try {
    for await (const chunk of reply.chunks) await response.write(chunk);
  } catch (error) {
    if (!(error instanceof StreamError)) throw error;
    await response.end(error);
    return;
  }
  await response.end();
}

async function decline(event: RuntimeEvent, errorType: string, sentence: string): Promise<void> {
  console.error(`livedev: ${sentence}`);
  const streamed = settings.streamingUrl === true ? unavailableStream(event.event, sentence) : undefined;
  if (streamed !== undefined) {
    const response = runtime.stream(event.requestId, INTEGRATION_RESPONSE, () => {});
    await response.write(streamed);
    await response.end();
    return;
  }
  const answer = unavailable(event.event, errorType, sentence);
  if (answer.status === "ok") await runtime.respond(event.requestId, answer.contentType, answer.body);
  else await runtime.fail(event.requestId, errorType, answer.body);
}

async function settingsOrInitError(): Promise<Settings> {
  try {
    const read = readSettings(new URL("./livedev.json", import.meta.url));
    addressOf(read);
    return read;
  } catch (error) {
    const errorMessage = (error as Error).message;
    console.error(`livedev: ${errorMessage}`);
    await runtime.failInit({ errorType: "Livedev.SettingsBroken", errorMessage, stackTrace: [] });
    return process.exit(1);
  }
}
