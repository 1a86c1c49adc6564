import { nativeJson, nativeLines } from "./native.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(nativeJson);
holdToTheList(nativeLines);
