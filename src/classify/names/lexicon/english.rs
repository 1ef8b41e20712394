//! English words, the abbreviations of database schemas, and the names of national numbers anywhere.
use super::Entry;
use crate::classify::names::concept::Concept::*;

/// Words and their meaning.
pub(super) const WORDS: &[Entry] = &[
    (
        &[Person],
        "person customer cust cus client clnt clt employee emp empl staff member mbr contact \
        holder hldr applicant borrower borr debtor payee payer beneficiary benef guardian parent \
        mother father spouse child guest passenger pax traveler traveller student pupil teacher tenant \
        resident citizen voter donor subscriber insured policyholder buyer seller recipient sender \
        recip attendee agent advisor adviser doctor physician prescriber nurse signatory signer \
        claimant candidate worker individual party ppl people cardholder author officer mgr manager \
        nominee kin relative husband wife emergency debitor attorney lawyer witness trustee",
    ),
    (&[Owner], "owner ownr assignee requester requestor reporter approver reviewer operator"),
    (&[Name], "name nm nam names"),
    (&[First], "first given fst frst fn"),
    (&[First, Name], "firstname fname forename givenname fstname frstname firstnm fnm christianname"),
    (&[Last], "last family lst"),
    (&[Last, Name], "lastname lname surname familyname lstname lastnm lnm surnm sname"),
    (&[Middle], "middle mid mdl"),
    (&[Middle, Name], "middlename mname midname"),
    (&[Full], "full legal complete display preferred"),
    (&[Full, Name], "fullname displayname legalname fullnm"),
    (
        &[Person, Name],
        "personname custname customername clientname employeename patientname contactname \
        holdername",
    ),
    (&[Maiden, Name], "maidenname maiden"),
    (&[Nick], "nick alias"),
    (&[Birth], "birth born brth bth"),
    (&[Birth, Date], "dob birthdate birthday bday dateofbirth birthdt bdate brthdt"),
    (&[Age], "age"),
    (&[Gender], "gender sex gndr gend legalsex sx"),
    (&[User], "user usr"),
    (&[User, Name], "username uname unm usrname"),
    (&[User, Id], "userid uid usrid"),
    (&[Login], "login logon signin handle screenname loginname samaccountname upn"),
    (&[Nick, Name], "nickname"),
    (
        &[Phone],
        "phone telephone tel ph phn phne telno phoneno telnr phonenumber telephonenumber tele \
        fone landline msisdn contactno voip hotline phonenum telnum sms",
    ),
    (
        &[Mobile, Phone],
        "mobile cellphone cellno cellnumber homecell workcell custcell cellnr mob mobil \
        mobilephone cellular mobileno mobileno gsm whatsapp",
    ),
    (&[Mobile], "cell"),
    (&[Fax, Phone], "fax telefax faxno"),
    (&[Email], "email eml emailaddress mailaddress emailaddr emailid em emailadr"),
    (&[Mail], "mail"),
    (&[Address], "address addr adr addrs addresses adrs homeaddress"),
    (&[Street], "street str strt streetname straddr avenue ave road streetaddress"),
    (&[House], "house apt apartment flat building bldg houseno suite"),
    (&[Line], "line ln"),
    (&[Address, Line], "addressline addrline addline addln"),
    (&[City], "city town cty suburb village locality municipality township"),
    (&[Region], "region province county prov prv district territory"),
    (&[Region], "state"),
    (&[Country], "country ctry cntry nation citizenship nationality"),
    (&[Postal], "postal post zip postalcode"),
    (&[Postal, Code], "zipcode postcode postalcode pincode zipcd pstcd postcd eircode"),
    (
        &[Home],
        "home residential residence residency mailing billing shipping delivery permanent current \
        bill ship work business office personal private primary secondary alternate alt main",
    ),
    (
        &[Geo],
        "koordinaten koordinaatit coordenadas wspolrzedne koordinat souradnice coordonneesgps geo gps coordinate coord coords geolocation latlon latlong latlng lonlat geopoint geom \
        geopos",
    ),
    (&[Latitude], "latitude lat latd lattd"),
    (&[Longitude], "longitude lon lng long lngt lngtd lngd"),
    (&[Ip], "ip ipaddr ipaddress ipv inet ipadr"),
    (&[Mac], "mac macaddr macaddress hwaddr ethernet ether bssid macadr wlanmac"),
    (&[National], "national ntnl natl govt government gov nat ntl"),
    (&[Identity], "identity identification ident idcard"),
    (&[Social], "social soc"),
    (&[Security], "security sec secu"),
    (&[Tax], "tax taxpayer fiscal"),
    (&[Tax, Id], "tin taxid taxno"),
    (&[Insurance], "insurance ins"),
    (
        &[NationalId],
        "taxfile medicarecard citizenservice socialinsurance nino nhs nhsno nhsnumber aadhaar aadhar \
        adhar uidai sin tfn nric pesel bsn cpf ahv avs ahvn13 nie dni nif steuerid idnr nir insee \
        codfis personnummer personnumer cpr hetu curp rut cedula medicareno nationalid natid ninumber \
        nationalinsurance steueridnr rsaid saidno egn cnp oib emso jmbg",
    ),
    (&[Ssn], "ssn socsec ssno socialsecurity socialsecuritynumber ssnum ssnno"),
    (&[Itin], "itin"),
    (
        &[Passport],
        "traveldocument traveldoc traveldocno docviagem documentoviagem documentoviaje titrevoyage titredevoyage passport pspt psprt passno passnumber \
        passportno passportnumber ppt passprt",
    ),
    (&[Driver], "driver drivers drv driving drvr drvng"),
    (&[Licence], "licence license lic lcns licens licno permit"),
    (
        &[Driver, Licence],
        "dl dlnumber dln dlno dlnum driverslicense driverlicense drivinglicence \
        driverlicence driverslicence drvlic",
    ),
    (&[Account], "account acct acc accnt acnt ac"),
    (&[Account, Number], "accountno accountnumber acctno acctnum acctnbr accno accountnum"),
    (&[Card, Number], "ccnum ccno ccn cardnumber cardno cardnum cardnbr creditcardnumber ccnumber"),
    (&[Bank], "bank bnk"),
    (&[Bank, Account], "bankaccount bankacct dda nuban clabe bban bankacc"),
    (&[Iban], "iban ibn ibannumber ibanno"),
    (&[Bic], "bic swift swiftbic swiftcode biccode bicswift"),
    (&[Routing], "aba rtn routing routingnumber abanumber abano rtg transit routingno routingnum"),
    (&[Card], "card cc creditcard crd debitcard primaryaccountnumber cardpan"),
    (&[Pan], "pan"),
    (&[Cusip], "cusip"),
    (&[Isin], "isin"),
    (&[Lei], "lei legalentityidentifier leicode"),
    (
        &[Amount],
        "amount amt balance bal salary wage pay income revenue turnover payment compensation \
        earnings sal annualincome owed stipend remuneration payable receivable notional",
    ),
    (
        &[Sum],
        "deposit withdrawal credit debit principal net gross fee charge cost premium bonus loan \
        debt limit equity assets expense budget profit loss exposure outstanding outstd overdue rent \
        refund cashback payout settlement purchase due paid mortgage funds total interest reserve \
        commission tip fine penalty allowance",
    ),
    (&[Price], "price px prc subtotal worth msrp sum spend"),
    (&[Money], "usd eur gbp chf jpy sek nok dkk pln czk huf cad aud inr brl mxn cny try zar sgd"),
    (&[Currency], "currency curr ccy"),
    (&[Expiry], "expiry expiration exp expires expdate expirydate validuntil"),
    (&[Cvv], "cvv cvc cvv2 csc cvn"),
    (&[Pin], "pin"),
    (&[Medical], "medical med clinical health hospital hosp mr"),
    (&[Record], "record rec chart rcrd"),
    (&[Medical, Record], "ipp mrn medrec medicalrecord mrno medrecno mednbr medicalrecordnumber emr ehr"),
    (&[Patient], "patient pat ptnt pt"),
    (&[Provider], "provider prvdr rendering referring"),
    (&[Npi], "npi npino npinumber"),
    (&[Mbi], "medicarebeneficiary mbi hicn medicare medicareid"),
    (&[Icd], "icd icd10 icdcode icd9"),
    (&[Diagnosis], "diagnosis diag dx diagnoses diagcd dxcode condition"),
    (&[Password], "password passwd pwd pass passcode passphrase pswd psw pw passwrd userpassword"),
    (&[Secret], "secret credential credentials cred privatekey clientsecret"),
    (&[Token], "token tok jwt"),
    (&[Key], "key"),
    (&[Api], "api bearer access auth authentication authorization oauth encryption signing ssh webhook"),
    (
        &[Secret],
        "authtoken accesstoken refreshtoken apikey secretkey accesskey apitoken apisecret \
        connectionstring dsn",
    ),
    (&[Vin], "vin vinno vinnumber chassis vinnum"),
    (&[Vehicle], "vehicle veh car vhcl auto truck automobile motor"),
    (
        &[Text],
        "note comment cmnt cmt remark rmk message msg body memo narrative feedback description \
        desc descr freetext text transcript conversation chat complaint review summary details detail \
        notes comments remarks observation instruction answer question reply bio biography content",
    ),
    (&[Number], "number no nr num nbr numb nmbr nos"),
    (&[Id], "id identifier idn idno"),
    (&[Code], "code cd cde"),
    (&[Date], "date dt dte"),
    (&[Time], "time timestamp tm ts tstamp datetime dttm dttime tms epoch"),
    (&[Year], "year yr yyyy"),
    (&[Month], "month mon mth mm"),
    (&[Day], "day dd"),
    (&[Place], "place location loc venue spot"),
    (
        &[Facet],
        "count cnt type typ typecode status stat kind category cat class level lvl score grade \
        rank rating model version ver format fmt length len size rate ratio pct percent percentage \
        share avg average min max median stddev index idx position pos domain extension ext prefix \
        suffix mask method channel mode group grp segment source target reason result color colour \
        language lang locale priority template label style frequency freq interval window threshold \
        quota salutation brand network scheme issuer tier protocol port prefs preference consent usage \
        bucket band timezone tz attempts retries optin valid validity validation quality bin subtype \
        direction visibility precision scale rounding decimals policy useragent maritalstatus \
        civilstatus costcenter costcentre subject pool zone cohort space ring stage tariff peril \
        err error delta deviation drift accuracy tolerance jitter noise \
        coverage segmentation targeting encoding charset timeout ttl",
    ),
    (
        &[Happening],
        "sent verified created updated modified changed confirmed deleted at since received \
        opened clicked bounced processed expired validated seen visited logged registered approved \
        rejected cancelled canceled completed shipped delivered issued submitted published reviewed \
        archived activated closed locked founded established incorporated commissioned built opened \
        installed manufactured produced lastlogin lastlogon lastsignin lastactivity subscribed unsubscribed blocked started ended hired",
    ),
    (
        &[Question],
        "is has can was did should allow allowed enable enabled disable disabled flag flg ind \
        indicator opt bool yn required active",
    ),
    (&[Hash], "hash hashed sha md md5 sha1 sha256 digest checksum hmac fingerprint crc"),
    (
        &[Thing],
        "product prod item itm article sku asset file filename folder dir path url uri link \
        image img icon host hostname server srv database db schema table column event queue \
        topic project proj campaign app application service device dev machine module function process \
        proc step stage branch department dept division team role company comp organization \
        organisation org corp firm employer merchant vendor supplier school university shop store \
        warehouse plan package pkg feature environment env cluster node namespace bucket repo \
        repository tag theme page site website report dashboard metric sensor parameter param property \
        attribute attr setting config variable species plant animal dish recipe song album movie film \
        book title track game airport airline hotel restaurant job occupation course institution fund \
        instrument bundle browser os platform partition screen holiday season menu part component \
        material manufacturer maker make fleet route station stop test exam program programme \
        vessel carrier aircraft counterparty cpty exchange pharmacy clinic hub dock creative audience \
        lender insurer broker promotion promo coupon discount unit trade desk portfolio strategy benchmark",
    ),
    (
        &[Deal],
        "order ord invoice inv ticket tkt shipment transaction trans trx txn tx booking \
        reservation batch lot case claim contract policy quote request req purchaseorder po receipt \
        rcpt tracking trk serial reference ref confirmation conf voucher docket waybill parcel \
        consignment orderno invoiceno ordernumber invoicenumber session journal ledger document doc \
        catalog catalogue seal pallet manifest claimno cheque check cert certificate enquiry incident rma",
    ),
    (&[Value], "value val"),
    (
        &[Measure],
        "quantity qty weight wt height ht width depth distance dist duration temperature temp \
        pressure humidity speed volume vol area voltage power energy mass capacity bytes mb gb kb kg \
        cm km mg ml meter metre measurement reading units pieces pcs stock inventory latency elapsed \
        points mileage miles odometer dose dosage population bpm pulse rainfall altitude \
        elevation radius diameter concentration density torque rpm seconds minutes hours secs hrs days \
        ms millis",
    ),
    (
        &[System],
        "row rowid rownum seq sequence pk fk uuid guid sk surrogate etl lsn hashkey shard \
        offset correlation trace span nonce revision rev etag build internal hidden oid",
    ),
    (
        &[Link],
        "txt of the on in by for to from with and or my new old cur prev previous orig original e \
        the a",
    ),
    (&[Digits], "last4 first6 digits"),
];
