import { huggingface } from "./huggingface.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(huggingface);
