import { holdToTheList } from "./suite.js";
import { tei } from "./tei.driver.js";

holdToTheList(tei);
