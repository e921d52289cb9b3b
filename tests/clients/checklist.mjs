// A story as a checklist: steps in order, a line for each. A failed step ends its chapter; other chapters go on.
import { AssertionError } from "node:assert";

class ChapterEnded extends Error {}

export class Checklist {
  #failed = [];
  #passed = 0;

  async chapter(title, tell) {
    console.log(`\n${title}`);
    try {
      await tell((text, act) => this.#step(title, text, act));
    } catch (error) {
      if (!(error instanceof ChapterEnded)) this.#fail(title, "between two steps", error);
    }
  }

  async #step(title, text, act) {
    try {
      const value = await act();
      this.#passed += 1;
      console.log(`  ok    ${text}`);
      return value;
    } catch (error) {
      this.#fail(title, text, error);
      throw new ChapterEnded();
    }
  }

  #fail(title, text, error) {
    this.#failed.push(`${title}: ${text}`);
    console.log(`  FAIL  ${text}`);
    const shown = error instanceof AssertionError ? error.message : (error.stack ?? String(error));
    console.log(shown.replace(/^/gm, "        "));
  }

  // The exit code of the story.
  finish() {
    console.log(`\n${this.#passed} steps ok, ${this.#failed.length} failed`);
    for (const line of this.#failed) console.log(`  ${line}`);
    return this.#failed.length === 0 && this.#passed > 0 ? 0 : 1;
  }
}
