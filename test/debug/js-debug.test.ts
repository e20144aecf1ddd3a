/** As VS Code debugs: its own debug adapter, attached once, over saves and restarts. */
import { join } from "node:path";

import t from "tap";

import { jsDebugMissing } from "../support/parts.ts";
import { Rig } from "../support/rig.ts";
import { Dap } from "./dap.ts";
import { config, debugged, handler, invoke, lineOf } from "./support.ts";

const skip = { skip: jsDebugMissing };

t.test(
  "one attach, ten saves that shift lines: init code and handler stop on every call",
  skip,
  async (t) => {
    await using rig = Rig.open({
      files: { "livedev.config.ts": config(["One"]), "src/One.ts": handler("One") },
    });
    const port = await debugged(rig);
    const file = join(rig.project, "src/One.ts");
    const lines = (text: string) => [lineOf(text, "INIT"), lineOf(text, "HERE")];
    await using dap = await Dap.open({
      port,
      cwd: rig.project,
      breakpoints: { [file]: lines(handler("One")) },
    });
    for (let save = 0; save < 10; save++) {
      const text = handler("One", save);
      rig.save("src/One.ts", text);
      await dap.setBreakpoints(file, lines(text));
      const answer = invoke(rig, "One");
      for (const mark of ["INIT", "HERE"]) {
        const { session, threadId } = await dap.stopped();
        t.equal(await session.place(threadId), `${file}:${lineOf(text, mark)}`, `${mark}, save ${save}`);
        if (mark === "HERE") t.equal(await session.evaluate(threadId, "loaded"), "'One'");
        await session.goOn(threadId);
      }
      t.equal((await answer).stdout.trim(), `"One ${save}"`);
    }
  },
);
