/** What the demo sends: bundled sentences for the people, and as many made ones as wanted for the robot. */
import { readFileSync } from "node:fs";

/** From build/examples/demo/, where this runs, to the file in the checkout. */
const file = new URL("../../../examples/sentences.en.txt", import.meta.url);

export function bundledSentences(): string[] {
  return readFileSync(file, "utf8").trimEnd().split("\n");
}

const people = ["My brother", "Our teacher", "The driver", "A young woman", "The old doctor"];
const deeds = ["bought a newspaper", "lost an umbrella", "waited for a friend", "found a coin"];
const places = ["at the station", "in the park", "behind the hotel", "near the bridge", "at home"];
const times = ["yesterday.", "this morning.", "last winter.", "on Monday, because it was raining."];

/** All different: a server that remembered answers would gain nothing. At most 400. */
export function madeSentences(count: number): string[] {
  const parts = [people, deeds, places, times];
  return Array.from({ length: count }, (_, number) => {
    let rest = number;
    const words = parts.map((choices) => {
      const word = choices[rest % choices.length];
      rest = Math.floor(rest / choices.length);
      return word;
    });
    return words.join(" ");
  });
}

export const madeSentencesMax: number = people.length * deeds.length * places.length * times.length;
