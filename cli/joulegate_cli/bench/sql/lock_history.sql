-- Nobody commits a reading until the transaction ends.
lock table meter_history, vehicle_history in access exclusive mode
