import { deepL } from "./deepl.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(deepL);
