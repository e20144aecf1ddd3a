import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";

/**
 * A value that is kept out of the config: `livedev secret set MySecret`. Linked code reads `Resource.MySecret.value`.
 *
 * @example
 * const key = new Secret("StripeKey");
 * new aws.Function("MyApi", { handler: "src/api.handler", link: [key] });
 */
export class Secret extends Component {
  readonly name: Output<string>;
  /** Never known to the config: link it, or pass it on as it is. */
  readonly value: Output<string>;
  readonly placeholder: Output<string | undefined>;

  /** `placeholder`: what it is where none was set. It stands in the config, so it is no secret. */
  constructor(name: string, placeholder?: Input<string>) {
    super("Secret", name, { placeholder }, undefined);
    this.name = Output.known(name);
    this.value = Output.later(`${name}.value`);
    this.placeholder = placeholder instanceof Output ? placeholder : Output.known(placeholder);
  }
}
