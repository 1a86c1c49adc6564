import { bertAsService } from "./bert-as-service.driver.js";
import { bertAsServiceHttp } from "./bert-as-service-http.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(bertAsService);
holdToTheList(bertAsServiceHttp);
