import { feedDriver, streamDriver } from "./streams.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(streamDriver);
holdToTheList(feedDriver);
