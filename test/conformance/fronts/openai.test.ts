import { openAi } from "./openai.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(openAi);
