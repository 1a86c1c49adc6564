/** Keeps what cannot be shown from taking the whole page with it: a server of another version may tell what this page does not know. */
import { Component, type ComponentChildren } from "preact";
import { messageOf } from "../thrown.js";

interface FenceProps {
  /** What is shown is of it; another one is tried anew. */
  readonly look: object;
  readonly children: ComponentChildren;
}

interface FenceState {
  /** The look that could not be shown, and why. */
  readonly failed: { readonly look: object; readonly why: string } | null;
}

export class Fence extends Component<FenceProps, FenceState> {
  override state: FenceState = { failed: null };

  override componentDidCatch(error: unknown): void {
    this.setState({ failed: { look: this.props.look, why: messageOf(error) } });
  }

  override render(): ComponentChildren {
    const { failed } = this.state;
    if (failed === null || failed.look !== this.props.look) return this.props.children;
    return (
      <p class="trouble bad" role="alert">
        This page cannot show what the server tells ({failed.why}). <a href="">Load it again</a>:
        the server may have another version by now.
      </p>
    );
  }
}
