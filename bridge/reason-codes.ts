/** MQTT 5 reason codes. Source: MQTT 5.0, section 2.4. The ones that the gateway gives: */
export const REASON = {
  notAuthorized: 0x87,
  takenOver: 0x8e,
  protocolError: 0x82,
  malformed: 0x81,
  receiveMaximum: 0x93,
  topicAlias: 0x94,
  topicInvalid: 0x90,
  tooLarge: 0x95,
  quotaExceeded: 0x97,
  keepAlive: 0x8d,
  shuttingDown: 0x8b,
  subscriptionIds: 0xa1,
} as const;

/** Of an UNSUBACK. */
export const NO_SUBSCRIPTION = 0x11;
/** The first of the codes that are failures [MQTT-3.4.2-1]; in MQTT 3.1.1 a SUBACK's no. */
export const FIRST_FAILURE = 0x80;
