import { ectransformer } from "./ectransformer.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(ectransformer);
