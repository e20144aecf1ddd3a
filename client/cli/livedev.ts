/** `livedev <command>`: each command is one file, and one entry here. */
import { attachCommand } from "./attach.ts";
import { Cli } from "./cli.ts";
import { cloudCommand } from "./cloud.ts";
import { completionCommand } from "./completion.ts";
import { debugCommand } from "./debug.ts";
import { deployCommand } from "./deploy.ts";
import { devCommand } from "./dev.ts";
import { doctorCommand } from "./doctor.ts";
import { envCommand } from "./env.ts";
import { historyCommand } from "./history.ts";
import { initCommand } from "./init.ts";
import { invokeCommand } from "./invoke.ts";
import { listCommand } from "./list.ts";
import { logsCommand } from "./logs.ts";
import { planCommand } from "./plan.ts";
import { restartProcessCommand, startProcessCommand, stopProcessCommand } from "./process-verbs.ts";
import { psCommand } from "./ps.ts";
import { removeCommand } from "./remove.ts";
import { replayCommand } from "./replay.ts";
import { runAsCommand } from "./run-as.ts";
import { secretCommand } from "./secret.ts";
import { stateCommand } from "./state.ts";
import { statusCommand } from "./status.ts";
import { tunnelCommand } from "./tunnel.ts";
import { waitCommand } from "./wait.ts";

await new Cli("livedev").main(
  "Live AWS Lambda development: deployed functions run on this machine, and every save is live.",
  [
    ["livedev init", "a first project"],
    ["livedevd start", "go live: builds, deploys stubs, prints the URLs"],
    ["livedev logs --follow", "what your functions print"],
  ],
  [
    initCommand,
    devCommand,
    statusCommand,
    invokeCommand,
    logsCommand,
    psCommand,
    startProcessCommand,
    stopProcessCommand,
    restartProcessCommand,
    attachCommand,
    historyCommand,
    replayCommand,
    planCommand,
    deployCommand,
    removeCommand,
    stateCommand,
    secretCommand,
    debugCommand,
    tunnelCommand,
    runAsCommand,
    envCommand,
    waitCommand,
    listCommand,
    doctorCommand,
    cloudCommand,
    completionCommand,
  ],
);
