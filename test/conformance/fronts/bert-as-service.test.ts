import { bertAsService } from "./bert-as-service.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(bertAsService);
