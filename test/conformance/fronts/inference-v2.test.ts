import { inferenceV2 } from "./inference-v2.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(inferenceV2);
