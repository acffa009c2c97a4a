// Ten texts from ten fields, with labels that fit them.

export const EXAMPLES = [
  {
    name: "News",
    labels: ["person", "city", "organization", "date"],
    text:
      "Mayor Elena Marchetti opened the new ferry terminal in Trieste on 4 May 2024. The harbor company " +
      "Adria Lines paid for half of it, and the Port Council of Trieste for the rest.",
  },
  {
    name: "Medicine",
    labels: ["medicine", "disease", "symptom", "dose"],
    text:
      "The patient took 400 mg of ibuprofen twice a day against her migraine. After a week she complained of " +
      "nausea, so the doctor stopped the ibuprofen and gave her 50 mg of sumatriptan.",
  },
  {
    name: "Law",
    labels: ["court", "judge", "law", "date"],
    text:
      "On 12 March 2019 the Regional Court of Graz, with Judge Ines Hofer in the chair, held that the lease " +
      "was void under section 30 of the Tenancy Act.",
  },
  {
    name: "Finance",
    labels: ["company", "amount of money", "stock exchange", "quarter"],
    text:
      "Nordvind Energi lost 210 million kroner in the third quarter, although its turnover rose. Its shares " +
      "fell by four percent on the Oslo Stock Exchange before Halden Capital bought 9 percent of them.",
  },
  {
    name: "Cooking",
    labels: ["ingredient", "quantity", "kitchen tool", "dish"],
    text:
      "For the lentil soup, fry two onions and three cloves of garlic in a large pot, add 250 g of red lentils " +
      "and a liter of vegetable stock, and blend everything with a hand mixer.",
  },
  {
    name: "Travel",
    labels: ["hotel", "city", "country", "airport", "landmark"],
    text:
      "We flew from Lisbon Airport to Morocco and stayed four nights at the Riad Zitoun in Fez. The walk to " +
      "the Bou Inania Madrasa takes ten minutes, and the train to Rabat leaves at noon.",
  },
  {
    name: "Software",
    labels: ["programming language", "library", "version", "operating system"],
    text:
      "The service was written in Python with FastAPI 0.110 and moved to Rust last year. It runs on Debian 12; " +
      "the old client for Windows 10 still needs OpenSSL 1.1.",
  },
  {
    name: "Biology",
    labels: ["animal", "plant", "river", "month"],
    text:
      "In April the beavers returned to the upper Spree. They felled young willows and a birch, and by June " +
      "kingfishers and otters were seen near their dam.",
  },
  {
    name: "Job offer",
    labels: ["job title", "skill", "company", "city", "degree"],
    text:
      "Kestrel Robotics in Utrecht is looking for a mechanical engineer with a master's degree. You know " +
      "SolidWorks, can weld, and speak Dutch; a forklift license helps.",
  },
  {
    name: "Personal data",
    labels: ["person", "email", "phone number", "street address", "iban"],
    text:
      "Please call Tomas Berglund at +46 70 123 45 67 or write to tomas.berglund@example.org. He lives at " +
      "14 Mill Lane, Uppsala, and asks for the refund to DE89 3704 0044 0532 0130 00.",
  },
];
