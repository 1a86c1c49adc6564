import { inferenceV2Grpc } from "./inference-v2-grpc.driver.js";
import { holdToTheList } from "./suite.js";

holdToTheList(inferenceV2Grpc);
